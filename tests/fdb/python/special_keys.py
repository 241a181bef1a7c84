"""The special keys: what a transaction knows of its own conflicts, and what a client knows of its
cluster."""

import json
import os

from start import API, db, fails, fdb, place

own = place("special keys")
READS = b"\xff\xff/transaction/read_conflict_range/"
WRITES = b"\xff\xff/transaction/write_conflict_range/"
CONFLICTING = b"\xff\xff/transaction/conflicting_keys/"


def key(name):
    return own.pack((name,))


def ranges(tr, prefix):
    """The conflict ranges below a prefix, from their begins ("1") and ends ("0")."""
    edges = [(row.key[len(prefix) :], row.value) for row in tr[prefix : prefix + b"\xff\xff"]]
    assert [value for _, value in edges] == [b"1", b"0"] * (len(edges) // 2), edges
    begins, ends = edges[0::2], edges[1::2]
    return [(begin, end) for (begin, _), (end, _) in zip(begins, ends)]


def point(name):
    return key(name), key(name) + b"\0"


def a_transaction_shows_its_conflict_ranges():
    tr = db.create_transaction()
    assert ranges(tr, READS) == [] and ranges(tr, WRITES) == []
    tr[key("b")].wait()
    tr.snapshot[key("c")].wait()
    tr.add_read_conflict_range(key("e"), key("g"))
    tr.add_read_conflict_range(key("f"), key("h"))
    assert ranges(tr, READS) == [point("b"), (key("e"), key("h"))]
    tr[key("a")] = b"1"
    tr.add_write_conflict_key(key("x"))
    del tr[key("m") : key("p")]
    assert ranges(tr, WRITES) == [point("a"), (key("m"), key("p")), point("x")]
    # What one has written oneself is not read from the database.
    assert tr[key("a")] == b"1" and tr[key("n")] == None
    assert ranges(tr, READS) == [point("b"), (key("e"), key("h"))]


def a_conflict_tells_where_it_was():
    tr = db.create_transaction()
    tr.options.set_report_conflicting_keys()
    tr[key("quiet")].wait()
    tr[key("busy")].wait()
    tr[key("mine")] = b""
    db[key("busy")] = b"changed"
    fails(1020, tr.commit)
    assert ranges(tr, CONFLICTING) == [point("busy")]
    tr.on_error(1020).wait()
    assert ranges(tr, CONFLICTING) == []


def the_cluster_is_known():
    path = os.environ["FDB_CLUSTER_FILE"]
    with open(path, "rb") as file:
        line = file.read().strip()
    tr = db.create_transaction()
    assert tr[b"\xff\xff/cluster_file_path"] == os.path.abspath(path).encode()
    assert tr[b"\xff\xff/connection_string"] == line
    status = json.loads(tr[b"\xff\xff/status/json"].value)
    assert status["client"]["database_status"]["available"] is True
    assert len(status["cluster"]["processes"]) == 1
    assert ranges(tr, READS) == [], "they are not read from the database"


def modules_have_their_rules():
    tr = db.create_transaction()
    fails(2113, lambda: tr[b"\xff\xff/nothing/here"].wait())
    fails(2112, lambda: list(tr[b"\xff\xff/transaction/" : b"\xff\xff/worker_interfaces0"]))
    tr.options.set_special_key_space_relaxed()
    assert tr[b"\xff\xff/nothing/here"] == None
    tr = db.create_transaction()
    tr[b"\xff\xff/nothing/here"] = b"x"
    fails(2114, tr.commit)


def the_end_of_the_readable_keys_can_be_read():
    tr = db.create_transaction()
    assert tr.get_key(fdb.KeySelector.first_greater_or_equal(b"\xff")) == b"\xff"
    tr.options.set_read_system_keys()
    assert tr.get_key(fdb.KeySelector(b"\xff\xff", False, 1)) == b"\xff\xff"
    assert [row.key for row in tr[b"\xff" : b"\xff\xff"]] is not None


a_transaction_shows_its_conflict_ranges()
a_conflict_tells_where_it_was()
the_cluster_is_known()
modules_have_their_rules()
the_end_of_the_readable_keys_can_be_read()
print("special keys hold at API version %d" % API)
