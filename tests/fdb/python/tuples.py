"""The tuple layer and subspaces: what goes in comes out, and keys sort as the tuples do."""

import random
import uuid

from start import API, db, fdb, place

own = place("tuples")


def some(rand, depth=0):
    """A value of any kind that a tuple may hold."""
    kinds = [
        lambda: None,
        lambda: rand.choice([True, False]),
        lambda: rand.choice([0, 1, -1, 255, 256, -255, -256, 2**31, 2**64 - 1, 2**64, -(2**70)]),
        lambda: rand.randrange(-(2**rand.randrange(1, 100)), 2 ** rand.randrange(1, 100)),
        lambda: rand.choice([0.0, -0.0, 1.5, -1.5, 1e300, float("inf"), float("-inf")]),
        lambda: fdb.tuple.SingleFloat(rand.choice([0.5, -2.25, 1024.0])),
        lambda: rand.randbytes(rand.randrange(6)),
        lambda: rand.choice([b"\0", b"\0\xff", b"\xff\xff", b""]),
        lambda: "".join(rand.choice("aZ\0é世\U0001f600") for _ in range(rand.randrange(5))),
        lambda: uuid.UUID(int=rand.getrandbits(128)),
        lambda: fdb.tuple.Versionstamp(rand.randbytes(10), rand.randrange(65536)),
        lambda: tuple(some(rand, depth + 1) for _ in range(rand.randrange(4))),
    ]
    return rand.choice(kinds if depth < 3 else kinds[:-1])()


def tuples_come_back_and_sort():
    rand = random.Random(11)
    packed = {}
    while len(packed) < 400:
        value = tuple(some(rand) for _ in range(rand.randrange(1, 5)))
        key = fdb.tuple.pack(value)
        assert fdb.tuple.unpack(key) == value, value
        packed[key] = value
    tr = db.create_transaction()
    for key, value in packed.items():
        tr[own.pack(value)] = key
    tr.commit().wait()
    rows = [(own.unpack(row.key), row.value) for row in db[own.range().start : own.range().stop]]
    assert [key for _, key in rows] == sorted(packed)
    for value, key in rows:
        assert packed[key] == value
    for (first, _), (second, _) in zip(rows, rows[1:]):
        assert fdb.tuple.compare(first, second) < 0, (first, second)
    del db[own.range().start : own.range().stop]
    return len(rows)


def a_range_holds_what_begins_with_a_tuple():
    tr = db.create_transaction()
    for value in [("a",), ("a", 1), ("a", "b", 2), ("ab", 1), ("b", 1), (("a", 1),), ("a", None)]:
        tr[own.pack(value)] = b""
    tr.commit().wait()
    found = lambda part: [own.unpack(row.key) for row in db[part.start : part.stop]]
    # The tuple itself is not in its range.
    assert found(own.range(("a",))) == [("a", None), ("a", "b", 2), ("a", 1)]
    assert found(own.subspace(("a",)).range()) == found(own.range(("a",)))
    assert len(found(own.range())) == 7


def subspaces_nest():
    inner = own["inner"][7]
    assert inner.key() == own.pack(("inner", 7))
    assert inner.pack(("x",)) == own.pack(("inner", 7, "x"))
    assert inner.unpack(own.pack(("inner", 7, "x"))) == ("x",)
    assert own.contains(inner.key()) and not inner.contains(own.key())
    db[inner] = b"a subspace is a key too"
    assert db[own.pack(("inner", 7))] == b"a subspace is a key too"
    try:
        inner.unpack(own.pack(("outer",)))
        raise AssertionError("the key is not in the subspace")
    except ValueError:
        pass
    raw = fdb.Subspace(("t",), rawPrefix=own.key())
    assert raw.key() == own.pack(("t",))


count = tuples_come_back_and_sort()
a_range_holds_what_begins_with_a_tuple()
subspaces_nest()
print("%d tuples came back in order at API version %d" % (count, API))
