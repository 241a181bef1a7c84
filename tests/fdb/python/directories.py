"""The directory layer: the life of directories, prefixes that many threads allocate at once, layers
and partitions."""

import random

from start import API, db, fdb, in_threads, place

own = place("directories")


def refused(kind, action):
    try:
        action()
    except kind:
        return
    raise AssertionError("expected %s" % kind.__name__)


def layer():
    """A directory layer of its own inside the program's place."""
    for part in (own["nodes"], own["content"]):
        del db[part.range().start : part.range().stop]
    return fdb.DirectoryLayer(node_subspace=own["nodes"], content_subspace=own["content"])


def directories_live_and_die():
    root = layer()
    app = root.create_or_open(db, ("app",))
    assert app.get_path() == ("app",) and root.exists(db, ("app",))
    users = app.create(db, ("users",))
    db[users.pack((42,))] = b"Ada"
    # It can be opened again, also from its parent, and by somebody else.
    assert root.open(db, ("app", "users")).key() == users.key()
    assert app.open(db, "users")[42].key() == users.pack((42,))
    other = fdb.DirectoryLayer(node_subspace=own["nodes"], content_subspace=own["content"])
    assert db[other.open(db, ("app", "users")).pack((42,))] == b"Ada"
    refused(ValueError, lambda: root.create(db, ("app", "users")))
    refused(ValueError, lambda: root.open(db, ("app", "nobody")))

    for name in ("c", "a", "b"):
        app.create(db, (name,))
    assert app.list(db) == ["a", "b", "c", "users"] and root.list(db) == ["app"]

    # Moved, it keeps its prefix and all that is in it.
    moved = users.move_to(db, ("people",))
    assert moved.key() == users.key() and db[moved.pack((42,))] == b"Ada"
    assert not root.exists(db, ("app", "users")) and root.list(db) == ["app", "people"]
    root.move(db, ("people",), ("app", "a", "people"))
    assert root.open(db, ("app", "a", "people")).key() == users.key()
    refused(ValueError, lambda: root.move(db, ("app",), ("app", "a", "inside")))
    refused(ValueError, lambda: root.move(db, ("nobody",), ("somebody",)))

    # Removed, everything below it is gone.
    root.remove(db, ("app",))
    assert db[users.pack((42,))] is None and root.list(db) == []
    assert not root.remove_if_exists(db, ("app",))
    refused(ValueError, lambda: root.remove(db, ("app",)))


def layers_must_agree():
    root = layer()
    tables = root.create(db, ("tables",), layer=b"table")
    assert tables.get_layer() == b"table"
    assert root.open(db, ("tables",), layer=b"table").key() == tables.key()
    refused(ValueError, lambda: root.open(db, ("tables",), layer=b"queue"))
    manual = fdb.DirectoryLayer(
        node_subspace=own["nodes"], content_subspace=own["content"], allow_manual_prefixes=True
    )
    chosen = own.pack(("chosen", "prefix"))
    assert manual.create(db, ("manual",), prefix=chosen).key() == chosen
    refused(ValueError, lambda: manual.create(db, ("again",), prefix=chosen))
    refused(ValueError, lambda: root.create(db, ("automatic",), prefix=chosen + b"x"))


def a_transaction_may_hold_many_steps():
    root = layer()

    @fdb.transactional
    def build(tr):
        shop = root.create(tr, ("shop",))
        orders = shop.create(tr, ("orders",))
        tr[orders.pack((1,))] = b"an order"
        assert root.list(tr, ("shop",)) == ["orders"]
        return orders

    orders = build(db)
    assert db[orders.pack((1,))] == b"an order"

    @fdb.transactional
    def fail(tr):
        root.remove(tr, ("shop",))
        raise InterruptedError

    refused(InterruptedError, lambda: fail(db))
    assert root.exists(db, ("shop", "orders"))


def many_threads_get_different_prefixes():
    root = layer()
    root.create_or_open(db, ("wide",))
    threads, each = 8, 12

    def work(number):
        made = []
        for index in range(each):
            made.append(root.create(db, ("wide", "%d-%d" % (number, index))).key())
        return made

    prefixes = [key for made in in_threads(threads, work) for key in made]
    assert len(set(prefixes)) == threads * each, "no prefix is given twice"
    assert len(root.list(db, ("wide",))) == threads * each
    content = own["content"].key()
    assert all(key.startswith(content) for key in prefixes)
    for one in prefixes:
        assert not any(other != one and other.startswith(one) for other in prefixes)
    longest = max(len(key) - len(content) for key in prefixes)

    # Several may come from one transaction, and threads may open what others create.
    @fdb.transactional
    def ten(tr):
        return [root.create(tr, ("wide", "t%d" % index)).key() for index in range(10)]

    assert len(set(ten(db)) | set(prefixes)) == threads * each + 10
    same = in_threads(6, lambda _: root.create_or_open(db, ("shared", "deep", "path")).key())
    assert len(set(same)) == 1
    return threads * each, longest


def partitions_are_worlds_of_their_own():
    root = layer()
    part = root.create(db, ("part",), layer=b"partition")
    inside = part.create(db, ("inside",))
    assert inside.get_path() == ("part", "inside") and root.list(db, ("part",)) == ["inside"]
    db[inside.pack(("x",))] = b"1"
    refused(Exception, lambda: part.pack(("x",)))  # a partition is not a place for rows
    refused(ValueError, lambda: inside.move_to(db, ("outside",)))
    assert db[root.open(db, ("part", "inside")).pack(("x",))] == b"1"
    renamed = root.move(db, ("part",), ("world",))
    assert db[renamed.open(db, ("inside",)).pack(("x",))] == b"1"
    root.remove(db, ("world",))
    assert db[inside.pack(("x",))] is None


def the_default_directory_is_there():
    name = ("plinth", "%x" % random.getrandbits(64))
    found = fdb.directory.create_or_open(db, name)
    db[found["hello"]] = b"world"
    assert db[fdb.directory.open(db, name)["hello"]] == b"world"
    fdb.directory.remove(db, name)
    assert db[found["hello"]] is None


directories_live_and_die()
layers_must_agree()
a_transaction_may_hold_many_steps()
count, longest = many_threads_get_different_prefixes()
partitions_are_worlds_of_their_own()
the_default_directory_is_there()
print(
    "threads made %d directories, with prefixes of at most %d bytes, at API version %d"
    % (count, longest, API)
)
