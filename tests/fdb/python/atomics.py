"""Every atomic operation, on missing keys, short and long values, in one transaction and over
several; compared with what each is said to do."""

import random

from start import API, db, fails, fdb, in_threads, place

own = place("atomics")
KEY = own.pack(("key",))


def number(text):
    return int.from_bytes(text, "little")


def fit(text, length):
    return text[:length].ljust(length, b"\0")


def bitwise(operation):
    def result(value, operand):
        value = fit(value, len(operand))
        return bytes(operation(a, b) for a, b in zip(value, operand))

    return result


def add(value, operand):
    total = number(fit(value, len(operand))) + number(operand)
    return (total % (1 << (8 * len(operand)))).to_bytes(len(operand), "little")


def larger(pick):
    return lambda value, operand: pick(fit(value, len(operand)), operand, key=number)


# What an operation makes of a value that is there.
MODEL = {
    "add": add,
    "bit_and": bitwise(lambda a, b: a & b),
    "bit_or": bitwise(lambda a, b: a | b),
    "bit_xor": bitwise(lambda a, b: a ^ b),
    "append_if_fits": lambda v, p: v + p if len(v + p) <= 100_000 else v,
    "max": larger(max),
    "min": larger(min),
    "byte_max": max,
    "byte_min": min,
    "compare_and_clear": lambda v, p: None if v == p else v,
}


def expected(name, value, operand):
    if value is not None:
        return MODEL[name](value, operand)
    return None if name == "compare_and_clear" else operand


def each_does_what_it_says():
    values = [None, b"", b"\x01", b"\xff\xff", b"\x05\x00\x00\x00", b"abc", b"abcdefghijkl"]
    operands = [b"", b"\x01", b"\xff", b"\x05\x00\x00\x00", b"abc", b"\xff" * 8]
    checked = 0
    for name in MODEL:
        for value in values:
            tr = db.create_transaction()
            for index, operand in enumerate(operands):
                if value is not None:
                    tr[own.pack((index,))] = value
            tr.commit().wait()
            blind = db.create_transaction()
            for index, operand in enumerate(operands):
                getattr(blind, name)(own.pack((index,)), operand)
                # Read in the transaction itself, and after it.
                seen = blind[own.pack((index,))].value
                wanted = expected(name, value, operand)
                assert seen == wanted, (name, value, operand, seen, wanted)
            blind.commit().wait()
            for index, operand in enumerate(operands):
                seen = db[own.pack((index,))]
                assert seen == expected(name, value, operand), (name, value, operand, seen)
                checked += 1
            del db[own.range().start : own.range().stop]
    return checked


def several_on_one_key_are_done_in_order():
    rand = random.Random(7)
    for _ in range(40):
        value = None
        del db[KEY]
        tr = db.create_transaction()
        for _ in range(rand.randrange(1, 6)):
            name = rand.choice(sorted(MODEL))
            operand = rand.randbytes(rand.randrange(0, 5))
            getattr(tr, name)(KEY, operand)
            value = expected(name, value, operand)
        assert tr[KEY].value == value
        tr.commit().wait()
        assert db[KEY] == value


def too_long_a_value_stays_as_it_is():
    db[KEY] = b"x" * 99_999
    db.append_if_fits(KEY, b"yy")
    assert len(db[KEY]) == 99_999
    db.append_if_fits(KEY, b"y")
    assert db[KEY].endswith(b"xy") and len(db[KEY]) == 100_000


def counters_never_conflict():
    del db[KEY]

    def work(_):
        for _ in range(25):
            tr = db.create_transaction()
            tr.add(KEY, (1).to_bytes(8, "little"))
            tr.commit().wait()  # no retry: it may not be needed

    in_threads(8, work)
    assert number(db[KEY]) == 200


def what_is_no_operation_is_refused():
    for code in (0, 1, 3, 18, 19, 21, 99, -1):
        tr = db.create_transaction()
        tr._atomic_operation(code, KEY, b"x")
        fails(2018, tr.commit)


checked = each_does_what_it_says()
several_on_one_key_are_done_in_order()
too_long_a_value_stays_as_it_is()
counters_never_conflict()
what_is_no_operation_is_refused()
print("%d results of atomic operations hold at API version %d" % (checked, API))
