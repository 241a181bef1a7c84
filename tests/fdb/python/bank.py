"""A bank: threads move money between few accounts while others add it all up. The sum is always the
same, no account goes below nothing, and each transfer is in the book exactly once."""

import random
import threading

from start import API, db, fdb, in_threads, place

own = place("bank")
accounts, book = own["accounts"], own["book"]
ACCOUNTS, START, TELLERS, EACH = 8, 1000, 6, 40


@fdb.transactional
def open_accounts(tr):
    for account in range(ACCOUNTS):
        tr[accounts.pack((account,))] = b"%d" % START


@fdb.transactional
def transfer(tr, giver, taker, amount, note):
    has, gets = tr[accounts.pack((giver,))], tr[accounts.pack((taker,))]
    moved = min(amount, int(has))
    tr[accounts.pack((giver,))] = b"%d" % (int(has) - moved)
    tr[accounts.pack((taker,))] = b"%d" % (int(gets) + moved)
    # An outcome that isn't known would write the note twice, under different stamps.
    tr.set_versionstamped_key(
        book.pack_with_versionstamp((fdb.tuple.Versionstamp(),)),
        fdb.tuple.pack((note, giver, taker, moved)),
    )
    attempts[threading.get_ident()] = attempts.get(threading.get_ident(), 0) + 1


@fdb.transactional
def balances(tr):
    rows = list(tr[accounts.range().start : accounts.range().stop])
    return {accounts.unpack(row.key)[0]: int(row.value) for row in rows}


@fdb.transactional
def balances_by_snapshot(tr):
    return [int(row.value) for row in tr.snapshot[accounts.range().start : accounts.range().stop]]


attempts, over = {}, threading.Event()


def work(number):
    if number == TELLERS:
        audits = 0
        while not over.is_set():
            sums = sum(balances(db).values()), sum(balances_by_snapshot(db))
            assert sums == (ACCOUNTS * START, ACCOUNTS * START), sums
            audits += 1
        return audits
    try:
        rand = random.Random(number)
        for index in range(EACH):
            giver, taker = rand.sample(range(ACCOUNTS), 2)
            transfer(db, giver, taker, rand.randrange(1, 400), "%d/%d" % (number, index))
    finally:
        with lock:
            left.pop()
            if not left:
                over.set()


lock, left = threading.Lock(), list(range(TELLERS))
open_accounts(db)
audits = in_threads(TELLERS + 1, work)[TELLERS]
ledger = {account: START for account in range(ACCOUNTS)}
notes = set()
for row in db[book.range().start : book.range().stop]:
    note, giver, taker, moved = fdb.tuple.unpack(row.value)
    ledger[giver] -= moved
    ledger[taker] += moved
    assert ledger[giver] >= 0 and note not in notes
    notes.add(note)
assert len(notes) == TELLERS * EACH
assert balances(db) == ledger, "the book, in the order of its stamps, explains every account"
retries = sum(attempts.values()) - len(notes)
print(
    "%d transfers with %d retries and %d audits at API version %d"
    % (len(notes), retries, audits, API)
)
