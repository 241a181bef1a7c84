"""Students sign up for classes, drop and swap them, all at once. No class has more students than
seats, no student more than five classes, and no signing up is half done."""

import random

from start import API, db, fdb, in_threads, place

own = place("class scheduling")
attends, seats = own["attends"], own["seats"]
SEATS, CLASSES_MAX = 2, 5

subjects = ["chemistry", "biology", "history", "geometry", "music", "latin"]
levels = ["introduction", "seminar", "laboratory"]
CLASSES = [
    "%s %s %d" % (subject, level, hour)
    for subject in subjects
    for level in levels
    for hour in (8, 14)
]


class Refused(Exception):
    """The rules do not allow it."""


@fdb.transactional
def open_classes(tr):
    del tr[own.range().start : own.range().stop]
    for name in CLASSES:
        tr[seats.pack((name,))] = b"%d" % SEATS


@fdb.transactional
def available(tr):
    return [seats.unpack(k)[0] for k, v in tr[seats.range().start : seats.range().stop] if int(v)]


@fdb.transactional
def sign_up(tr, student, name):
    record = attends.pack((student, name))
    if tr[record].present():
        return
    free = int(tr[seats.pack((name,))])
    if not free:
        raise Refused("no seat is left")
    mine = attends.range((student,))
    if len(list(tr[mine.start : mine.stop])) == CLASSES_MAX:
        raise Refused("too many classes")
    tr[seats.pack((name,))] = b"%d" % (free - 1)
    tr[record] = b""


@fdb.transactional
def drop(tr, student, name):
    record = attends.pack((student, name))
    if not tr[record].present():
        return
    tr[seats.pack((name,))] = b"%d" % (int(tr[seats.pack((name,))]) + 1)
    del tr[record]


@fdb.transactional
def swap(tr, student, old, new):
    drop(tr, student, old)
    sign_up(tr, student, new)


def student(number):
    """Changes its mind some thirty times."""
    rand, name, mine, refused = random.Random(number), "student %d" % number, set(), 0
    for _ in range(30):
        moods = ["sign up"] * 4 + (["drop", "swap"] if mine else [])
        mood = rand.choice(moods)
        try:
            free = available(db) or CLASSES
            # Everybody likes the first classes best: that is where they meet.
            wish = rand.choice(free[:4] if rand.random() < 0.6 else free)
            old = rand.choice(sorted(mine)) if mine else None
            if mood == "sign up":
                sign_up(db, name, wish)
                mine.add(wish)
            elif mood == "drop":
                drop(db, name, old)
                mine.discard(old)
            else:
                swap(db, name, old, wish)
                mine.discard(old)
                mine.add(wish)
        except Refused:
            refused += 1
    return mine, refused


def check(results):
    taken = {}
    for number, (mine, _) in enumerate(results):
        held = attends.range(("student %d" % number,))
        found = {attends.unpack(row.key)[1] for row in db[held.start : held.stop]}
        assert found == mine, (number, found, mine)
        assert len(found) <= CLASSES_MAX
        for name in found:
            taken[name] = taken.get(name, 0) + 1
    for row in db[seats.range().start : seats.range().stop]:
        (name,) = seats.unpack(row.key)
        assert int(row.value) == SEATS - taken.get(name, 0) >= 0, name
    return sum(taken.values())


open_classes(db)
assert available(db) == sorted(CLASSES)
results = in_threads(10, student)
held = check(results)
# One seat for two: exactly one gets it, and who is refused keeps what he has.
spare, wanted = "spare", "wanted"
db[seats.pack((spare,))], db[seats.pack((wanted,))] = b"2", b"1"


def wish(number):
    name = "newcomer %d" % number
    sign_up(db, name, spare)
    try:
        swap(db, name, spare, wanted)
        return True
    except Refused:
        assert db[attends.pack((name, spare))] == b""
        return False


outcomes = in_threads(2, wish)
assert sorted(outcomes) == [False, True]
assert db[seats.pack((spare,))] == b"1" and db[seats.pack((wanted,))] == b"0"
refused = sum(number for _, number in results)
print("10 students hold %d seats, %d wishes refused, at API version %d" % (held, refused, API))
