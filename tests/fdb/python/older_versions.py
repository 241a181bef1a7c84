"""What was different at older API versions, for programs that still ask for them."""

import struct

from start import API, db, fails, fdb, place

own = place("older versions")
KEY = own.pack(("key",))


def stamps_have_offsets_of_their_time():
    key = own.pack_with_versionstamp(("log", fdb.tuple.Versionstamp()))
    assert len(key) == len(own.key()) + 5 + 13 + (2 if API < 520 else 4)
    tr = db.create_transaction()
    tr.set_versionstamped_key(key, b"")
    if API < 520:
        tr.set_versionstamped_value(KEY, b"\0" * 10 + b"tail")
    else:
        tr.set_versionstamped_value(KEY, b"head" + b"\0" * 10 + struct.pack("<L", 4))
    stamp = tr.get_versionstamp()
    tr.commit().wait()
    (row,) = db[own.range(("log",)).start : own.range(("log",)).stop]
    assert own.unpack(row.key)[1] == fdb.tuple.Versionstamp(stamp.value)
    assert db[KEY] == (stamp.value + b"tail" if API < 520 else b"head" + stamp.value)


def operations_on_missing_keys():
    for name in ("bit_and", "min"):
        del db[KEY]
        getattr(db, name)(KEY, b"\x05\x06")
        assert db[KEY] == (b"\0\0" if API < 510 else b"\x05\x06"), name
        del db[KEY]
        tr = db.create_transaction()
        getattr(tr, name)(KEY, b"\x05\x06")
        assert tr[KEY] == (b"\0\0" if API < 510 else b"\x05\x06"), name


def limits_over_retries():
    tr = db.create_transaction()
    tr.options.set_max_retry_delay(0)
    tr.options.set_retry_limit(1)
    tr.on_error(1020).wait()
    if API < 610:
        # The first retry has reset it.
        for _ in range(3):
            tr.on_error(1020).wait()
    else:
        fails(1020, lambda: tr.on_error(1020))


def what_a_failure_leaves():
    db[KEY] = b"x"
    tr = db.create_transaction()
    fails(2005, lambda: tr.on_error(2005))
    if API < 610:
        assert tr[KEY] == b"x"
    else:
        fails(1025, lambda: tr[KEY].wait())


def addresses():
    found = fdb.locality.get_addresses_for_key(db, KEY).wait()
    assert (b":" in found[0]) == (API >= 630), found
    tr = db.create_transaction()
    tr.options.set_include_port_in_address()
    assert b":" in fdb.locality.get_addresses_for_key(tr, KEY).wait()[0]


def a_committed_transaction():
    tr = db.create_transaction()
    tr[KEY] = b"once"
    tr.commit().wait()
    if API < 410:
        assert tr[KEY] == b"once"
    else:
        fails(2017, lambda: tr[KEY].wait())


stamps_have_offsets_of_their_time()
operations_on_missing_keys()
limits_over_retries()
what_a_failure_leaves()
addresses()
a_committed_transaction()
print("the differences hold at API version %d" % API)
