"""Callbacks and futures: many at once, from other threads, within asyncio, cancelled, and dropped
while they are pending."""

import asyncio
import gc
import threading

from start import API, db, fails, fdb, in_threads, place, ready

own = place("callbacks")
KEY = own.pack(("key",))


def a_callback_comes_once_on_the_networks_thread():
    db[KEY] = b"value"
    calls, done = [], threading.Event()

    def called(future):
        calls.append((threading.current_thread().name, future.value))
        done.set()

    tr = db.create_transaction()
    future = tr.get(KEY)
    future.on_ready(called)
    assert done.wait(30)
    assert calls[0][1] == b"value" and future.is_ready()
    # One that comes late is called all the same, and the first is not called again.
    late = threading.Event()
    future.on_ready(lambda _: late.set())
    assert late.wait(30) and len(calls) == 1


def thousands_may_be_under_way():
    @fdb.transactional
    def fill(tr):
        for number in range(500):
            tr[own.pack((number,))] = b"%d" % number

    fill(db)
    transactions = [db.create_transaction() for _ in range(4)]
    seen = threading.Semaphore(0)
    futures = []
    for tr in transactions:
        for number in range(500):
            future = tr.get(own.pack((number,)))
            future.on_ready(lambda _: seen.release())
            futures.append((future, b"%d" % number))
    for _ in futures:
        assert seen.acquire(timeout=30)
    assert all(future == value for future, value in futures)


def the_first_of_several_is_told():
    watch = db.set_and_watch(KEY, b"1")
    tr = db.create_transaction()
    assert fdb.Future.wait_for_any(watch, tr.get(KEY)) == 1
    db[KEY] = b"2"
    assert fdb.Future.wait_for_any(watch) == 0


def a_future_may_be_dropped_or_cancelled():
    for _ in range(50):
        tr = db.create_transaction()
        tr.get(KEY)
        tr.get_range_startswith(own.key())
        tr.get_read_version().on_ready(lambda _: None)
        watch = db.clear_and_watch(KEY)
        called = threading.Event()
        watch.on_ready(lambda _: called.set())
        watch.cancel()
        assert called.wait(30), "a cancelled future calls back"
        fails(1101, watch.wait)
    gc.collect()
    # A future outlives its transaction's object.
    future = db.create_transaction().get_read_version()
    try:
        assert future.wait() > 0
    except fdb.FDBError as error:
        assert error.code == 1025


def an_exception_in_a_callback_is_the_programs_own():
    import contextlib
    import io

    text, done = io.StringIO(), threading.Event()

    def called(_):
        try:
            raise ArithmeticError("mine")
        finally:
            done.set()

    with contextlib.redirect_stderr(text):
        tr = db.create_transaction()
        tr.get(KEY).on_ready(called)
        assert done.wait(30)
        ready(tr.get(KEY))
    assert "mine" in text.getvalue()


def asyncio_waits_for_futures():
    async def of(future):
        """An fdb future as one of asyncio's."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        future.on_ready(lambda _: loop.call_soon_threadsafe(done.set_result, None))
        await done
        return future.wait()

    async def add_one(attempts):
        tr = db.create_transaction()
        while True:
            try:
                future = tr[KEY]
                await of(future)
                tr[KEY] = b"%d" % (int(future.value) + 1)
                await of(tr.commit())
                return
            except fdb.FDBError as error:
                attempts.append(error.code)
                await of(tr.on_error(error))

    async def main():
        attempts = []
        await asyncio.gather(*(add_one(attempts) for _ in range(20)))
        return attempts

    db[KEY] = b"0"
    attempts = asyncio.run(main())
    assert db[KEY] == b"20" and set(attempts) <= {1020}
    return len(attempts)


def a_transaction_may_be_shared_by_threads():
    tr = db.create_transaction()

    def work(number):
        for index in range(20):
            tr[own.pack(("shared", number, index))] = b""
            tr[own.pack((index,))].wait()

    in_threads(5, work)
    tr.commit().wait()
    assert len(db[own.range(("shared",)).start : own.range(("shared",)).stop]) == 100


a_callback_comes_once_on_the_networks_thread()
thousands_may_be_under_way()
the_first_of_several_is_told()
a_future_may_be_dropped_or_cancelled()
an_exception_in_a_callback_is_the_programs_own()
attempts = asyncio_waits_for_futures()
a_transaction_may_be_shared_by_threads()
print("callbacks hold, %d conflicts in asyncio, at API version %d" % (attempts, API))
