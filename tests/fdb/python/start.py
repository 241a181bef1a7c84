"""What every program here begins with: the binding at one API version, the database of the default
cluster file, and a few words for saying what must hold."""

import os
import threading
import time

import fdb

API = int(os.environ["PLINTH_TEST_API_VERSION"])
fdb.api_version(API)
db = fdb.open()


def place(name):
    """A subspace of the program's own, empty."""
    own = fdb.Subspace((name,))
    inside = own.range()
    del db[inside.start : inside.stop]
    return own


def fails(code, action):
    """Sees that an action ends with an error code; gives the error."""
    try:
        answer = action()
        # A value is a promise until somebody looks at it.
        if hasattr(answer, "wait"):
            answer.wait()
    except fdb.FDBError as error:
        assert error.code == code, "expected %d, got %r" % (code, error)
        return error
    raise AssertionError("expected error %d, got %r" % (code, answer))


def until(condition, seconds=30):
    """Waits until something holds; fails if it doesn't in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


def ready(future, seconds=30):
    """Waits for a future with a limit, which `wait` hasn't."""
    done = threading.Event()
    future.on_ready(lambda _: done.set())
    assert done.wait(seconds), "the future never became ready"
    return future


def in_threads(count, work):
    """Runs `work(0)`, `work(1)`, … at the same time; gives the results, or the first failure."""
    results, failures = [None] * count, []

    def one(number):
        try:
            results[number] = work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
