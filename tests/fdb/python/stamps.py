"""Versionstamps: in keys, in values, inside tuples; what can't be read before the commit; and the
key whose stamp tells when the metadata changed."""

import struct

from start import API, db, fails, fdb, in_threads, place

own = place("stamps")
inside = own.range()
METADATA = b"\xff/metadataVersion"


def tuples_are_completed_by_the_commit():
    @fdb.transactional
    def append(tr, text):
        for order in range(3):
            tr.set_versionstamped_key(
                own.pack_with_versionstamp(("log", fdb.tuple.Versionstamp(user_version=order))),
                b"%s %d" % (text, order),
            )
        return tr.get_versionstamp()

    stamps = [append(db, text).value for text in (b"first", b"second", b"third")]
    assert stamps == sorted(set(stamps)) and all(len(stamp) == 10 for stamp in stamps)
    log = own.subspace(("log",)).range()
    rows = [(own.unpack(row.key)[1], row.value) for row in db[log.start : log.stop]]
    wanted = [
        (fdb.tuple.Versionstamp(stamp, order), b"%s %d" % (text, order))
        for stamp, text in zip(stamps, (b"first", b"second", b"third"))
        for order in range(3)
    ]
    assert rows == wanted, rows
    assert rows[0][0].is_complete() and rows == sorted(rows, key=lambda row: row[0])


def the_stamp_tells_the_commit_version():
    tr = db.create_transaction()
    stamp = tr.get_versionstamp()
    operand = b"<" + b"\0" * 10 + b">" + struct.pack("<L", 1)
    tr.set_versionstamped_value(own.pack(("value",)), operand)
    tr.commit().wait()
    version, order = struct.unpack(">QH", stamp.value)
    assert version == tr.get_committed_version() and order < 32768
    assert db[own.pack(("value",))] == b"<" + stamp.value + b">"
    in_tuple = fdb.tuple.pack_with_versionstamp((fdb.tuple.Versionstamp(), "x"))
    db.set_versionstamped_value(own.pack(("value",)), in_tuple)
    newer, text = fdb.tuple.unpack(db[own.pack(("value",))])
    assert text == "x" and newer.tr_version > stamp.value


def a_stamp_without_a_write_fails():
    tr = db.create_transaction()
    stamp = tr.get_versionstamp()
    tr[inside.start].wait()
    tr.commit().wait()
    fails(2021, stamp.wait)

    tr = db.create_transaction()
    tr[inside.start].wait()
    tr[own.pack(("mark",))] = b""
    stamp = tr.get_versionstamp()
    db[inside.start] = b"in between"
    fails(1020, tr.commit)
    fails(2020, stamp.wait)

    tr = db.create_transaction()
    stamp = tr.get_versionstamp()
    tr.reset()
    fails(1025, stamp.wait)


def what_the_commit_completes_cannot_be_read_before():
    key = own.pack_with_versionstamp(("unread", fdb.tuple.Versionstamp()))
    tr = db.create_transaction()
    tr.set_versionstamped_key(key, b"")
    unread = own.subspace(("unread",)).range()
    fails(1036, lambda: list(tr[unread.start : unread.stop]))
    tr.reset()
    tr.set_versionstamped_value(own.pack(("value",)), b"\0" * 14)
    fails(1036, lambda: tr[own.pack(("value",))].wait())
    tr.reset()
    tr.options.set_bypass_unreadable()
    tr.set_versionstamped_value(own.pack(("value",)), b"\0" * 14)
    tr[own.pack(("value",))].wait()
    # Cleared, it can be read again.
    tr.reset()
    tr.set_versionstamped_value(own.pack(("value",)), b"\0" * 14)
    del tr[own.pack(("value",))]
    assert tr[own.pack(("value",))] == None


def a_place_for_the_stamp_must_be_there():
    for operand in (b"", b"\0" * 13, b"\0" * 10 + struct.pack("<L", 1), b"\0" * 10 + b"\xff" * 4):
        tr = db.create_transaction()
        tr.set_versionstamped_value(own.pack(("value",)), operand)
        fails(2000, tr.commit)
        tr = db.create_transaction()
        tr.set_versionstamped_key(operand, b"")
        fails(2000, tr.commit)


def tuples_know_whether_they_are_complete():
    incomplete = fdb.tuple.Versionstamp()
    assert fdb.tuple.has_incomplete_versionstamp(("a", (1, incomplete)))
    assert not fdb.tuple.has_incomplete_versionstamp(("a", 1))
    for wrong in (("none",), (incomplete, incomplete)):
        try:
            fdb.tuple.pack_with_versionstamp(wrong)
            raise AssertionError("there must be exactly one")
        except ValueError:
            pass


def stamps_of_many_writers_are_all_different():
    own_log = own.subspace(("many",))

    @fdb.transactional
    def append(tr, writer, index):
        key = own_log.pack_with_versionstamp((fdb.tuple.Versionstamp(), writer, index))
        tr.set_versionstamped_key(key, b"")

    in_threads(6, lambda writer: [append(db, writer, index) for index in range(20)])
    rows = [own_log.unpack(row.key) for row in db[own_log.range().start : own_log.range().stop]]
    assert len(rows) == 120 and len({row[0] for row in rows}) == 120
    for writer in range(6):
        # Each writer's commits are in its own order.
        assert [row[2] for row in rows if row[1] == writer] == list(range(20))


def the_metadata_version_is_a_stamp():
    tr = db.create_transaction()
    before = tr[METADATA].value
    tr.set_versionstamped_value(METADATA, b"\0" * 14)
    stamp = tr.get_versionstamp()
    tr.commit().wait()
    after = db[METADATA]
    assert after == stamp.value and after != before
    tr = db.create_transaction()
    tr.set_versionstamped_value(METADATA, b"x" * 14)
    fails(2000, tr.commit)
    tr = db.create_transaction()
    tr[METADATA] = b"\0" * 10
    fails(2000, tr.commit)
    # A cache that rests on it: it is read with every transaction, and conflicts like any key.
    tr = db.create_transaction()
    tr[METADATA].wait()
    tr[own.pack(("cached",))] = b""
    db.set_versionstamped_value(METADATA, b"\0" * 14)
    fails(1020, tr.commit)


tuples_are_completed_by_the_commit()
the_stamp_tells_the_commit_version()
a_stamp_without_a_write_fails()
what_the_commit_completes_cannot_be_read_before()
a_place_for_the_stamp_must_be_there()
tuples_know_whether_they_are_complete()
stamps_of_many_writers_are_all_different()
the_metadata_version_is_a_stamp()
print("versionstamps hold at API version %d" % API)
