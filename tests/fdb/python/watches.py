"""Watches: what makes one ready, what ends one, and that they outlive their transactions."""

import threading
import time

from start import API, db, fails, fdb, in_threads, place, ready

own = place("watches")
KEY = own.pack(("key",))


def a_change_makes_it_ready():
    value, watch = db.get_and_watch(KEY)
    assert value == None and not watch.is_ready()
    db[KEY] = b"1"
    ready(watch).wait()

    watch = db.set_and_watch(KEY, b"2")
    assert not watch.is_ready()
    del db[KEY]
    ready(watch).wait()

    watch = db.clear_and_watch(KEY)
    db[KEY] = b"3"
    ready(watch).wait()


def other_changes_do_not():
    db[KEY] = b"same"
    _, watch = db.get_and_watch(KEY)
    db[own.pack(("key", 1))] = b"another key"
    db[KEY] = b"same"
    # One that is set up and fired after those shows that they have come through.
    other = db.set_and_watch(own.pack(("other",)), b"1")
    db[own.pack(("other",))] = b"2"
    ready(other).wait()
    assert not watch.is_ready()
    db[KEY] = b"changed"
    ready(watch).wait()


def it_begins_with_the_commit():
    db[KEY] = b"1"
    tr = db.create_transaction()
    # What is watched is read in its own time; from here on as it is now.
    tr.get_read_version().wait()
    watch = tr.watch(KEY)
    db[KEY] = b"2"
    assert not watch.is_ready(), "nothing is watched before the commit"
    # It only read: it commits, and learns that the value has changed since.
    tr.commit().wait()
    ready(watch).wait()

    # A commit that fails takes its watches along.
    tr = db.create_transaction()
    watch = tr.watch(KEY)
    tr[KEY].wait()
    tr[own.pack(("mark",))] = b""
    db[KEY] = b"3"
    fails(1020, tr.commit)
    fails(1020, lambda: ready(watch))

    # So does a reset, and the end of the transaction's object.
    tr = db.create_transaction()
    watch = tr.watch(KEY)
    tr.reset()
    fails(1025, lambda: ready(watch))
    tr = db.create_transaction()
    watch = tr.watch(KEY)
    del tr
    fails(1025, lambda: ready(watch))


def it_compares_with_what_its_transaction_sees():
    tr = db.create_transaction()
    tr[KEY] = b"mine"
    watch = tr.watch(KEY)
    tr.commit().wait()
    assert not watch.is_ready()
    db[KEY] = b"yours"
    ready(watch).wait()


def it_may_be_cancelled():
    _, watch = db.get_and_watch(KEY)
    watch.cancel()
    fails(1101, lambda: ready(watch))
    db[KEY] = b"after it"

    # Cancelled while another thread waits for it.
    _, watch = db.get_and_watch(KEY)
    ended = []
    thread = threading.Thread(target=lambda: ended.append(fails(1101, watch.wait)))
    thread.start()
    watch.cancel()
    thread.join(30)
    assert not thread.is_alive() and len(ended) == 1


def it_outlives_the_timeout_of_its_transaction():
    while True:
        try:
            tr = db.create_transaction()
            tr.options.set_timeout(300)
            watch = tr.watch(KEY)
            tr.commit().wait()
            break
        except fdb.FDBError as error:
            assert error.code == 1031, "only a slow machine is forgiven"
    time.sleep(0.4)  # the timeout has passed; the watch is not its business any more
    assert not watch.is_ready()
    db[KEY] = b"late"
    ready(watch).wait()

    # One whose transaction never commits is.
    tr = db.create_transaction()
    tr.options.set_timeout(20)
    watch = tr.watch(KEY)
    fails(1031, lambda: ready(watch))


def there_may_be_many():
    count = 200
    watches = [db.set_and_watch(own.pack(("many", index)), b"0") for index in range(count)]
    seen = threading.Semaphore(0)
    for watch in watches:
        watch.on_ready(lambda _: seen.release())
    in_threads(4, lambda n: [db.set(own.pack(("many", i)), b"1") for i in range(n, count, 4)])
    for _ in range(count):
        assert seen.acquire(timeout=30)
    first = fdb.Future.wait_for_any(*watches)
    assert 0 <= first < count


def not_every_key_may_be_watched():
    tr = db.create_transaction()
    fails(2004, lambda: ready(tr.watch(b"\xff/key")))
    tr = db.create_transaction()
    fails(2102, lambda: ready(tr.watch(b"k" * 10_001)))
    tr = db.create_transaction()
    tr.options.set_read_your_writes_disable()
    fails(1034, lambda: ready(tr.watch(KEY)))


def a_waiting_thread_wakes_up():
    """A mailbox: one thread waits for letters, another sends them."""
    box = own.subspace(("box",))
    del db[box.range().start : box.range().stop]
    bell, letters = own.pack(("bell",)), 20

    @fdb.transactional
    def send(tr, text):
        tr[box.pack((text,))] = b""
        tr.add(bell, (1).to_bytes(8, "little"))

    @fdb.transactional
    def receive(tr):
        found = [box.unpack(row.key)[0] for row in tr[box.range().start : box.range().stop]]
        del tr[box.range().start : box.range().stop]
        return found, tr.watch(bell)

    def work(number):
        if number == 0:
            for text in range(letters):
                send(db, text)
            return None
        got = []
        while len(got) < letters:
            found, watch = receive(db)
            got += found
            if not found:
                ready(watch).wait()
        return got

    assert sorted(in_threads(2, work)[1]) == list(range(letters))


a_change_makes_it_ready()
other_changes_do_not()
it_begins_with_the_commit()
it_compares_with_what_its_transaction_sees()
it_may_be_cancelled()
it_outlives_the_timeout_of_its_transaction()
there_may_be_many()
not_every_key_may_be_watched()
a_waiting_thread_wakes_up()
print("watches hold at API version %d" % API)
