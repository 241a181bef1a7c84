"""Ranges in every streaming mode, forwards and backwards, with limits, selectors and own writes;
compared with a sorted list."""

import bisect

from start import API, db, fails, fdb, place

own = place("ranges")
inside = own.range()
MODES = ["want_all", "iterator", "exact", "small", "medium", "large", "serial"]


def key(number):
    return own.pack((number,))


@fdb.transactional
def fill(tr, rows):
    for number, value in rows.items():
        tr[key(number)] = value


# Rows of different lengths, so that pages end at odd places.
rows = {number: b"v" * (number * 37 % 300) for number in range(0, 600, 2)}
fill(db, rows)
ordered = [(key(number), value) for number, value in sorted(rows.items())]
keys = [row[0] for row in ordered]


def pairs(found):
    return [(row.key, row.value) for row in found]


def every_mode_gives_the_same_rows():
    for name in MODES:
        mode = getattr(fdb.StreamingMode, name)
        for reverse in (False, True):
            expected = ordered[::-1] if reverse else ordered
            for limit in (0, 1, 7, 133, 300, 500):
                tr = db.create_transaction()
                find = lambda: tr.get_range(inside.start, inside.stop, limit, reverse, mode)
                if name == "exact" and limit == 0:
                    fails(2210, lambda: list(find()))
                    continue
                wanted = expected[:limit] if limit else expected
                assert pairs(find()) == wanted, (name, reverse, limit)
                assert pairs(find().to_list()) == wanted, (name, reverse, limit)


def pages_grow_while_one_iterates():
    begin = fdb.KeySelector.first_greater_or_equal(inside.start)
    end = fdb.KeySelector.first_greater_or_equal(inside.stop)

    def page(mode, iteration):
        tr = db.create_transaction()
        found, count, more = tr._get_range(begin, end, 0, mode, iteration, False).wait()
        assert count == len(found)
        return count, bool(more)

    sizes = [page(fdb.StreamingMode.iterator, iteration) for iteration in range(1, 8)]
    counts = [count for count, _ in sizes]
    assert counts == sorted(counts) and counts[0] < counts[-1], counts
    assert [more for _, more in sizes[:3]] == [True] * 3
    small, _ = page(fdb.StreamingMode.small, 1)
    large, _ = page(fdb.StreamingMode.large, 1)
    assert 0 < small < large
    tr = db.create_transaction()
    fails(2000, lambda: tr._get_range(begin, end, 0, fdb.StreamingMode.iterator, 0, False))
    fails(2000, lambda: tr._get_range(begin, end, 0, 9, 1, False))
    fails(2012, lambda: tr._get_range(begin, end, -2, fdb.StreamingMode.serial, 1, False))


def selectors_resolve_as_in_a_sorted_list():
    tr = db.create_transaction()
    for number in (-1, 0, 1, 2, 301, 302, 598, 599):
        at = key(number)
        for or_equal in (False, True):
            base = (bisect.bisect_right if or_equal else bisect.bisect_left)(keys, at) - 1
            for offset in (-40, -1, 0, 1, 2, 40):
                position = base + offset
                if not 0 <= position < len(keys):
                    continue  # leads out of the program's own keys
                found = tr.get_key(fdb.KeySelector(at, or_equal, offset))
                assert found == keys[position], (number, or_equal, offset)
    assert tr.get_key(fdb.KeySelector.first_greater_than(key(0))) == key(2)
    assert tr.get_key(fdb.KeySelector.last_less_than(key(2))) == key(0)
    assert tr.get_key(fdb.KeySelector.last_less_or_equal(key(2)) + 3) == key(8)
    # Beyond all keys there is nothing but the ends.
    assert tr.get_key(fdb.KeySelector(b"", False, -1)) == b""
    assert tr.get_key(fdb.KeySelector(b"\xff", False, 1)) == b"\xff"

    between = lambda begin, end: [own.unpack(row.key)[0] for row in tr[begin:end]]
    first, last = fdb.KeySelector.first_greater_than, fdb.KeySelector.last_less_or_equal
    assert between(first(key(10)), last(key(17)) + 1) == [12, 14, 16]
    assert between(last(key(10)) - 2, first(key(10)) + 1) == [6, 8, 10, 12]
    assert between(key(20), key(20)) == []
    assert between(key(20), key(10)) == [], "an inverted range is empty"


def slices_are_ranges():
    tr = db.create_transaction()
    assert pairs(tr[inside.start : inside.stop : -1]) == ordered[::-1]
    assert pairs(tr[key(4) : key(11)]) == ordered[2:6]
    assert pairs(tr.get_range_startswith(own.key(), limit=3)) == ordered[:3]
    assert pairs(db[key(4) : key(11)]) == ordered[2:6]


def rewritten():
    """A transaction with writes of its own, and what it must see."""
    tr, model = db.create_transaction(), dict(ordered)
    del tr[key(100) : key(200)]
    for number in range(100, 200, 2):
        del model[key(number)]
    for number in range(151, 160):
        tr[key(number)] = model[key(number)] = b"new"
    del tr[key(250)]
    del model[key(250)]
    tr.append_if_fits(key(260), b"+")
    model[key(260)] += b"+"
    return tr, model


def own_writes_are_in_the_range():
    for name in MODES:
        if name == "exact":
            continue
        mode = getattr(fdb.StreamingMode, name)
        for reverse in (False, True):
            tr, model = rewritten()
            expected = sorted(model.items(), reverse=reverse)
            for source in (tr, tr.snapshot):
                found = source.get_range(inside.start, inside.stop, 0, reverse, mode)
                assert pairs(found) == expected, (name, reverse)
    tr, model = rewritten()
    assert tr.get_key(fdb.KeySelector.first_greater_than(key(98))) == key(151)

    # Snapshot reads may be told to leave own writes out, and all reads too.
    tr.options.set_snapshot_ryw_disable()
    assert pairs(tr.snapshot[inside.start : inside.stop]) == ordered
    assert pairs(tr[inside.start : inside.stop]) == sorted(model.items())
    raw = db.create_transaction()
    raw.options.set_read_your_writes_disable()
    raw[key(1)] = b"unseen"
    assert raw[key(1)] == None and pairs(raw[inside.start : inside.stop]) == ordered


def a_limited_range_conflicts_only_so_far():
    def reads(read, touched):
        tr = db.create_transaction()
        read(tr)
        tr[key(9999)] = b""
        db[key(touched)] = rows[touched]
        tr.commit().wait()

    first_five = lambda tr: list(tr.get_range(inside.start, inside.stop, limit=5))
    last_five = lambda tr: list(tr.get_range(inside.start, key(599), limit=5, reverse=True))
    reads(first_five, 10)
    fails(1020, lambda: reads(first_five, 8))
    reads(last_five, 588)
    fails(1020, lambda: reads(last_five, 590))
    del db[key(9999)]


every_mode_gives_the_same_rows()
pages_grow_while_one_iterates()
selectors_resolve_as_in_a_sorted_list()
slices_are_ranges()
own_writes_are_in_the_range()
a_limited_range_conflicts_only_so_far()
print("ranges hold at API version %d" % API)
