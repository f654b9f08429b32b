"""Python's multiprocessing.Lock, measured for lock_bench.

python_lock.py PROCESSES COUNT   prints seconds per acquire and release, of COUNT in all
"""

import ctypes
import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")


def work(lock, counter, start, count, results):
    start.wait()
    began = time.monotonic()
    for _ in range(count):
        with lock:
            counter.value += 1
    results.put((began, time.monotonic()))


def measure(processes, count):
    lock, counter = context.Lock(), context.RawValue(ctypes.c_uint64, 0)
    start, results = context.Barrier(processes), context.SimpleQueue()
    each = count // processes
    workers = [
        context.Process(target=work, args=(lock, counter, start, each, results))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert counter.value == each * processes, "no mutual exclusion"
    began, ended = min(one[0] for one in found), max(one[1] for one in found)
    return (ended - began) / (each * processes)


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
