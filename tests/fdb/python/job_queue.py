"""A queue: jobs go in at one end by their versionstamps and out at the other, by several workers;
every job is done once, and those of one producer in its order."""

import json
import threading

from start import API, db, fdb, in_threads, place, ready

own = place("queue")
jobs, done, bell = own["jobs"], own["done"], own.pack(("bell",))
PRODUCERS, WORKERS, EACH = 3, 3, 40


@fdb.transactional
def push(tr, job):
    tr.set_versionstamped_key(
        jobs.pack_with_versionstamp((fdb.tuple.Versionstamp(),)), json.dumps(job).encode()
    )
    tr.add(bell, (1).to_bytes(8, "little"))


@fdb.transactional
def pop(tr, worker):
    """Takes the oldest job and notes who did it; a watch on the bell if there is none."""
    for row in tr.get_range(jobs.range().start, jobs.range().stop, limit=1):
        del tr[row.key]
        job = json.loads(row.value)
        tr.set_versionstamped_key(
            done.pack_with_versionstamp((fdb.tuple.Versionstamp(),)), row.value
        )
        return job, None
    return None, tr.watch(bell)


finished = threading.Event()


def work(number):
    if number < PRODUCERS:
        for index in range(EACH):
            push(db, {"producer": number, "index": index})
        return []
    mine = []
    while not finished.is_set():
        job, watch = pop(db, number)
        if job is None:
            # Whoever finishes rings the bell afterwards, so that this watch hears it.
            if not finished.is_set():
                ready(watch).wait()
            continue
        mine.append((job["producer"], job["index"]))
        if len(db[done.range().start : done.range().stop]) == PRODUCERS * EACH:
            finished.set()
            db.add(bell, (1).to_bytes(8, "little"))  # whoever still sleeps
    return mine


results = in_threads(PRODUCERS + WORKERS, work)[PRODUCERS:]
taken = [job for mine in results for job in mine]
assert len(taken) == len(set(taken)) == PRODUCERS * EACH, "each job is done once"
assert db[jobs.range().start : jobs.range().stop] == []
order = [json.loads(row.value) for row in db[done.range().start : done.range().stop]]
for producer in range(PRODUCERS):
    indices = [job["index"] for job in order if job["producer"] == producer]
    assert indices == list(range(EACH)), "a producer's jobs are done in its order"
print("%d jobs were done once at API version %d" % (len(taken), API))
