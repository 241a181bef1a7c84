"""Where keys are and how much they take: locality, sizes, split points, and the client's state."""

import json
import os

from start import API, db, fails, fdb, place

own = place("placement")
inside = own.range()
ROWS, VALUE = 600, b"v" * 500


@fdb.transactional
def fill(tr):
    for number in range(ROWS):
        tr[own.pack((number,))] = VALUE


fill(db)


def keys_live_at_one_address():
    with open(os.environ["FDB_CLUSTER_FILE"], "rb") as file:
        server = file.read().strip().split(b"@")[1]
    bounds = list(fdb.locality.get_boundary_keys(db, b"", b"\xff"))
    assert bounds and bounds[0] == b"" and bounds == sorted(bounds), bounds
    for bound in bounds + [own.pack((1,)), b"\xff/x"]:
        addresses = fdb.locality.get_addresses_for_key(db, bound).wait()
        assert addresses == [server], addresses
    tr = db.create_transaction()
    assert list(fdb.locality.get_boundary_keys(tr, b"", b"\xff")) == bounds
    assert list(fdb.locality.get_boundary_keys(db, b"b", b"a")) == []


def sizes_are_estimated():
    tr = db.create_transaction()
    whole = tr.get_estimated_range_size_bytes(inside.start, inside.stop).wait()
    true = sum(len(row.key) + len(row.value) for row in db[inside.start : inside.stop])
    assert true / 4 < whole < true * 4, (whole, true)
    half = tr.get_estimated_range_size_bytes(inside.start, own.pack((ROWS // 2,))).wait()
    assert 0 < half < whole, (half, whole)
    assert tr.get_estimated_range_size_bytes(own.pack((ROWS,)), inside.stop).wait() >= 0
    fails(2005, lambda: tr.get_estimated_range_size_bytes(inside.stop, inside.start))
    return whole


def ranges_are_split():
    tr = db.create_transaction()
    points = tr.get_range_split_points(inside.start, inside.stop, 50_000).wait()
    assert points[0] == inside.start and points[-1] == inside.stop
    assert points == sorted(set(points)) and 3 <= len(points) <= 20, len(points)
    parts = [db[begin:end] for begin, end in zip(points, points[1:])]
    assert sum(parts, []) != [] and sum(len(part) for part in parts) == ROWS
    # In a range of its own each part is of about the size asked for.
    sizes = [sum(len(row.key) + len(row.value) for row in part) for part in parts[:-1]]
    assert all(5_000 <= size <= 500_000 for size in sizes), sizes
    assert tr.get_range_split_points(b"\xfe", b"\xfe\x01", 1000).wait() == [b"\xfe", b"\xfe\x01"]
    if API >= 800:
        few = tr.get_range_split_points(inside.start, inside.stop, 50_000, 2).wait()
        assert len(few) <= len(points)
    fails(2004, lambda: tr.get_range_split_points(b"a", b"\xff\xff\xff", 1000))
    return len(points)


def the_client_says_how_it_is():
    if hasattr(db, "get_client_status"):
        status = json.loads(db.get_client_status().wait().value)
        assert status["Healthy"] is True, status


keys_live_at_one_address()
size = sizes_are_estimated()
points = ranges_are_split()
the_client_says_how_it_is()
print("%d bytes, %d split points at API version %d" % (size, points, API))
