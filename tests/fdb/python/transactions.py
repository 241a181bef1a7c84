"""Transactions: the decorator and its retries, what a conflict is, and a transaction's life."""

import struct

from start import API, db, fails, fdb, place

own = place("transactions")
KEY = own.pack(("key",))


def the_database_does_small_things_by_itself():
    db[KEY] = b"one"
    assert db[KEY] == b"one" and db.get(KEY) == b"one"
    assert db.get_key(fdb.KeySelector.first_greater_or_equal(KEY)) == KEY
    db.set(own.pack(("key", 2)), b"two")
    everything = own.range()
    rows = [(own.unpack(row.key), row.value) for row in db[everything.start : everything.stop]]
    assert rows == [(("key",), b"one"), (("key", 2), b"two")], rows
    backwards = db.get_range_startswith(own.key(), reverse=True)
    assert [row.value for row in backwards] == [b"two", b"one"]
    db.add(own.pack(("sum",)), struct.pack("<q", 5))
    db.add(own.pack(("sum",)), struct.pack("<q", -2))
    assert struct.unpack("<q", db[own.pack(("sum",))]) == (3,)
    del db[KEY]
    assert db[KEY] is None
    db.clear_range_startswith(own.key())
    assert db.get_range_startswith(own.key()) == []


def a_conflict_is_retried_by_the_decorator():
    db[KEY] = b"0"
    attempts = []

    @fdb.transactional
    def increase(tr):
        seen = int(tr[KEY])
        attempts.append(seen)
        if len(attempts) < 4:
            db[KEY] = b"%d" % (seen + 10)
        tr[KEY] = b"%d" % (seen + 1)
        return seen

    assert increase(db) == 30
    assert attempts == [0, 10, 20, 30], attempts
    assert db[KEY] == b"31"


def a_conflict_is_error_1020():
    tr = db.create_transaction()
    tr[KEY].wait()
    db[KEY] = b"other"
    tr[own.pack(("elsewhere",))] = b""
    error = fails(1020, tr.commit)
    assert fdb.predicates.is_retryable(error)
    assert fdb.predicates.is_retryable_not_committed(error)
    assert not fdb.predicates.is_maybe_committed(error)
    said = b"Transaction not committed due to conflict with another transaction"
    assert error.description == said, error.description
    assert str(error) == "%s (1020)" % said
    tr.on_error(error).wait()
    assert tr[KEY] == b"other"


def what_is_not_read_does_not_conflict():
    def meets(prepare):
        tr = db.create_transaction()
        tr.get_read_version().wait()
        prepare(tr)
        db[KEY] = b"in between"
        tr[own.pack(("elsewhere",))] = b""
        tr.commit().wait()

    meets(lambda tr: tr.snapshot[KEY].wait())
    meets(lambda tr: None)
    meets(lambda tr: tr.set(KEY, b"blind"))
    fails(1020, lambda: meets(lambda tr: tr[KEY].wait()))
    fails(1020, lambda: meets(lambda tr: tr.add_read_conflict_key(KEY)))
    fails(1020, lambda: meets(lambda tr: tr.add_read_conflict_range(own.key(), KEY + b"\0")))
    fails(1020, lambda: meets(lambda tr: tr.get_range_startswith(own.key()).to_list()))

    # A write conflict range meets readers, though nothing is written.
    reader = db.create_transaction()
    reader[KEY].wait()
    toucher = db.create_transaction()
    toucher.add_write_conflict_key(KEY)
    toucher.commit().wait()
    assert toucher.get_committed_version() > 0
    reader[own.pack(("elsewhere",))] = b""
    fails(1020, reader.commit)

    # And one write may be left out of the conflicts.
    reader = db.create_transaction()
    reader[KEY].wait()
    quiet = db.create_transaction()
    quiet.options.set_next_write_no_write_conflict_range()
    quiet[KEY] = b"quiet"
    quiet.commit().wait()
    reader[own.pack(("elsewhere",))] = b""
    reader.commit().wait()


def transactional_functions_are_made_of_others():
    @fdb.transactional
    def put(tr, name, value):
        tr[own.pack((name,))] = value

    @fdb.transactional
    def put_both(tr):
        put(tr, "a", b"1")
        put(tr, "b", b"2")
        assert db[own.pack(("a",))] is None
        return tr[own.pack(("a",))] + tr[own.pack(("b",))]

    assert put_both(db) == b"12"
    assert db[own.pack(("b",))] == b"2"

    @fdb.transactional
    def fail(tr):
        put(tr, "a", b"never")
        raise KeyError("mine")

    try:
        fail(db)
        raise AssertionError("a program's exception comes through")
    except KeyError:
        pass
    assert db[own.pack(("a",))] == b"1"

    @fdb.transactional(parameter="place")
    def named(place):
        return bytes(place[own.pack(("a",))])

    assert named(db) == b"1"


def versions_go_up():
    tr = db.create_transaction()
    read = tr.get_read_version().wait()
    assert tr.get_committed_version() == -1
    tr[KEY] = b"new"
    tr.commit().wait()
    committed = tr.get_committed_version()
    assert committed > read > 0
    later = db.create_transaction()
    assert later.get_read_version().wait() >= committed
    later.commit().wait()
    assert later.get_committed_version() == -1, "a transaction that only reads has no version"

    db[KEY] = b"newer"
    past = db.create_transaction()
    past.set_read_version(committed)
    assert past[KEY] == b"new"
    fails(2010, lambda: (past.set_read_version(committed), past[KEY].wait()))


def a_transaction_lives_until_its_commit():
    tr = db.create_transaction()
    tr[KEY] = b"once"
    tr.commit().wait()
    fails(2017, lambda: tr[KEY].wait())
    fails(2017, tr.commit)
    tr.reset()
    assert tr[KEY] == b"once"

    tr[KEY] = b"twice"
    tr.cancel()
    fails(1025, lambda: tr[KEY].wait())
    fails(1025, tr.commit)
    tr.reset()
    assert tr[KEY] == b"once"

    tr[KEY] = b"never"
    fails(2005, lambda: tr.on_error(2005))
    fails(1025, lambda: tr[KEY].wait())


def sizes_grow_with_what_is_done():
    tr = db.create_transaction()
    sizes = [tr.get_approximate_size().wait()]
    steps = [
        lambda: tr.set(KEY, b"value"),
        lambda: tr.clear(own.pack(("b",))),
        lambda: tr.add_read_conflict_key(own.pack(("c",))),
        lambda: tr.add_write_conflict_key(own.pack(("d",))),
        lambda: tr.clear_range(own.pack(("e",)), own.pack(("f",))),
    ]
    for step in steps:
        step()
        sizes.append(tr.get_approximate_size().wait())
    assert sizes[0] < 100 and sizes == sorted(set(sizes)), sizes


def generators_are_refused():
    @fdb.transactional
    def numbers(tr):
        yield tr[KEY]

    try:
        numbers(db)
        raise AssertionError("a generator would outlive its transaction")
    except ValueError:
        pass


the_database_does_small_things_by_itself()
a_conflict_is_retried_by_the_decorator()
a_conflict_is_error_1020()
what_is_not_read_does_not_conflict()
transactional_functions_are_made_of_others()
versions_go_up()
a_transaction_lives_until_its_commit()
sizes_grow_with_what_is_done()
generators_are_refused()
print("transactions hold at API version %d" % API)
