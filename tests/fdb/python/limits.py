"""Options and limits: timeouts, retries, sizes, keys that are not legal; and what the errors are
called."""

import time

from start import API, db, fails, fdb, place, ready, until

own = place("limits")
KEY = own.pack(("key",))


def commits(prepare):
    tr = db.create_transaction()
    prepare(tr)
    tr.commit().wait()


def a_timeout_ends_everything():
    tr = db.create_transaction()
    tr[KEY].wait()
    # The clock has run since the transaction was made.
    tr.options.set_timeout(50)
    time.sleep(0.1)
    error = fails(1031, lambda: tr[KEY].wait())
    assert error.description == b"Operation aborted because the transaction timed out"
    fails(1031, tr.commit)
    fails(1031, lambda: tr.on_error(1020))
    tr.reset()
    tr[KEY].wait()

    # The clock runs on through retries.
    began = time.monotonic()

    @fdb.transactional
    def never(tr):
        tr.options.set_timeout(200)
        raise fdb.FDBError(1020)

    fails(1031, lambda: never(db))
    assert 0.1 < time.monotonic() - began < 10


def retries_may_be_limited():
    attempts = []

    @fdb.transactional
    def never(tr, limit):
        tr.options.set_retry_limit(limit)
        tr.options.set_max_retry_delay(2)
        attempts.append(limit)
        raise fdb.FDBError(1020)

    for limit in (0, 1, 5):
        fails(1020, lambda: never(db, limit))
    assert attempts == [0] + [1] * 2 + [5] * 6, attempts

    tr = db.create_transaction()
    tr.options.set_max_retry_delay(0)
    began = time.monotonic()
    for _ in range(20):
        tr.on_error(1020).wait()
    assert time.monotonic() - began < 5, "without the option it takes some twenty seconds"


def what_cannot_be_retried_comes_out():
    for code in (2101, 2004, 1031, 1025, 2017, 1101, 4100):
        tr = db.create_transaction()
        fails(code, lambda: tr.on_error(code))
    for code in (1007, 1009, 1020, 1021, 1037, 1038, 1042, 1051, 1213):
        tr = db.create_transaction()
        tr.on_error(code).wait()
        assert fdb.predicates.is_retryable(fdb.FDBError(code)), code
        maybe = code == 1021
        assert fdb.predicates.is_maybe_committed(fdb.FDBError(code)) == maybe, code
        assert fdb.predicates.is_retryable_not_committed(fdb.FDBError(code)) != maybe, code
    for code in (0, 1025, 1031, 2017, 2101, 9999):
        assert not fdb.predicates.is_retryable(fdb.FDBError(code)), code


def errors_have_their_texts():
    texts = {
        0: b"Success",
        1007: b"Transaction is too old to perform reads or be committed",
        1009: b"Request for future version",
        1020: b"Transaction not committed due to conflict with another transaction",
        1021: b"Transaction may or may not have committed",
        1025: b"Operation aborted because the transaction was cancelled",
        1036: b"Read or wrote an unreadable key",
        1101: b"Asynchronous operation cancelled",
        2004: b"Key outside legal range",
        2017: b"Operation issued while a commit was outstanding",
        2101: b"Transaction exceeds byte limit",
        2102: b"Key length exceeds limit",
        2103: b"Value length exceeds limit",
    }
    for code, text in texts.items():
        assert fdb.FDBError(code).description == text, (code, fdb.FDBError(code).description)
    assert fdb.FDBError(9999).description


def sizes_have_limits():
    commits(lambda tr: tr.set(own.key().ljust(10_000, b"k"), b"v" * 100_000))
    fails(2102, lambda: commits(lambda tr: tr.set(b"k" * 10_001, b"")))
    fails(2103, lambda: commits(lambda tr: tr.set(KEY, b"v" * 100_001)))
    fails(2102, lambda: commits(lambda tr: tr.add(b"k" * 10_001, b"1")))
    fails(2103, lambda: commits(lambda tr: tr.append_if_fits(KEY, b"v" * 100_001)))
    assert db[b"k" * 10_001] is None, "a key that can't be is absent"

    def fill(tr):
        for index in range(101):
            tr[own.pack((index,))] = b"v" * 100_000

    fails(2101, lambda: commits(fill))

    def little(tr):
        tr.options.set_size_limit(1000)
        tr[KEY] = b"v" * 1000

    fails(2101, lambda: commits(little))

    def enough(tr):
        tr.options.set_size_limit(2000)
        tr[KEY] = b"v" * 1000

    commits(enough)


def keys_have_a_range():
    for code, action in [
        (2004, lambda tr: tr.set(b"\xff", b"")),
        (2004, lambda tr: tr.clear(b"\xff/x")),
        (2004, lambda tr: tr.clear_range(b"a", b"\xff\x01")),
        (2004, lambda tr: tr[b"\xff"].wait()),
        (2004, lambda tr: list(tr[b"a" : b"\xff\x01"])),
        (2004, lambda tr: tr.add_write_conflict_range(b"a", b"\xff\x01")),
        (2005, lambda tr: tr.clear_range(b"b", b"a")),
        (2005, lambda tr: tr.add_read_conflict_range(b"b", b"a")),
    ]:
        fails(code, lambda: commits(action))
    commits(lambda tr: tr.clear_range(own.key(), own.key()))
    # The empty key is a key.
    commits(lambda tr: tr.set(b"", b"first"))
    assert db[b""] == b"first"
    del db[b""]
    # Whoever asks for them may use the system's keys.
    def system(tr):
        tr.options.set_access_system_keys()
        tr[b"\xff\x02/test/" + own.key()] = b"x"
        assert tr[b"\xff\x02/test/" + own.key()] == b"x"

    commits(system)


def old_and_future_versions_are_refused():
    # Five seconds' worth of versions can be read: a young database must first come of age.
    @fdb.transactional
    def version(tr):
        return tr.get_read_version().wait()

    until(lambda: version(db) > 6_000_000)
    tr = db.create_transaction()
    tr.set_read_version(1)
    error = fails(1007, lambda: tr[KEY].wait())
    assert fdb.predicates.is_retryable_not_committed(error)
    tr = db.create_transaction()
    tr.set_read_version(0x7FFFFFFFFFFFFFF0)
    fails(1009, lambda: tr[KEY].wait())
    tr = db.create_transaction()
    tr.set_read_version(0)
    fails(2011, lambda: tr[KEY].wait())


def options_are_known_or_refused():
    tr = db.create_transaction()
    for code in (0, 5, 9999):
        fails(2007, lambda: tr._set_option(code, None, 0))
        fails(2007, lambda: db._set_option(code, None, 0))
        fails(2007, lambda: fdb.options._parent._set_option(code, None, 0))
    tr[KEY].wait()
    # A value that can't be comes out of the next call.
    tr._set_option(500, b"123", 3)
    fails(2006, lambda: tr[KEY].wait())
    late = db.create_transaction()
    late[KEY] = b"x"
    fails(2000, lambda: (late.options.set_read_your_writes_disable(), late.commit().wait()))

    tr = db.create_transaction()
    tr.options.set_priority_batch()
    tr.options.set_causal_read_risky()
    tr.options.set_causal_write_risky()
    tr.options.set_debug_transaction_identifier("a transaction")
    tr.options.set_log_transaction()
    tr.options.set_auto_throttle_tag("tag")
    tr.options.set_lock_aware()
    tr[KEY] = b"with options"
    tr.commit().wait()
    assert db[KEY] == b"with options"


def a_database_has_defaults_for_its_transactions():
    db.options.set_transaction_retry_limit(2)
    db.options.set_transaction_max_retry_delay(1)
    db.options.set_transaction_size_limit(500)
    try:
        tr = db.create_transaction()
        for _ in range(2):
            tr.on_error(1020).wait()
        fails(1020, lambda: tr.on_error(1020))
        fails(2101, lambda: commits(lambda tr: tr.set(KEY, b"v" * 500)))
        own_limit = db.create_transaction()
        own_limit.options.set_size_limit(5000)
        own_limit[KEY] = b"v" * 500
        own_limit.commit().wait()
    finally:
        db.options.set_transaction_retry_limit(-1)
        db.options.set_transaction_max_retry_delay(1000)
        db.options.set_transaction_size_limit(10_000_000)
    db.options.set_transaction_timeout(30)
    try:
        tr = db.create_transaction()
        time.sleep(0.06)
        fails(1031, lambda: tr[KEY].wait())
    finally:
        db.options.set_transaction_timeout(0)
    db.options.set_max_watches(1)
    try:
        kept = db.set_and_watch(KEY, b"watched")
        tr = db.create_transaction()
        fails(1032, lambda: ready(tr.watch(own.pack(("another",)))))
        kept.cancel()
    finally:
        db.options.set_max_watches(10_000)


a_timeout_ends_everything()
retries_may_be_limited()
what_cannot_be_retried_comes_out()
errors_have_their_texts()
sizes_have_limits()
keys_have_a_range()
old_and_future_versions_are_refused()
options_are_known_or_refused()
a_database_has_defaults_for_its_transactions()
print("limits and options hold at API version %d" % API)
