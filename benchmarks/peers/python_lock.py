"""Python's multiprocessing.Lock, measured for lock_bench.

python_lock.py count PROCESSES COUNT   prints seconds per acquire and release, of COUNT in all
python_lock.py relay 2 COUNT           prints seconds per hand-over: see lock_bench.cpp
"""

import ctypes
import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")


def count_under(locks, counter, who, count):
    lock = locks[0]
    for _ in range(count):
        with lock:
            counter.value += 1


def relay(locks, counter, who, count):
    if who:
        locks[2].acquire()
        counter.value = 1
    while counter.value < 1 + who:
        time.sleep(0)
    for i in range(count):
        locks[i % 3].acquire()
        if who == 0:
            counter.value += 1
        if who or i:
            locks[(i + 2) % 3].release()
    locks[(count - 1) % 3].release()


def work(kind, locks, counter, who, start, count, results):
    start.wait()
    began = time.monotonic()
    kind(locks, counter, who, count)
    results.put((began, time.monotonic()))


def measure(kind, processes, count):
    locks = [context.Lock() for _ in range(3)]
    counter = context.RawValue(ctypes.c_uint64, 0)
    start, results = context.Barrier(processes), context.SimpleQueue()
    each = count // processes
    workers = [
        context.Process(target=work, args=(kind, locks, counter, who, start, each, results))
        for who in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    expected = each + 1 if kind is relay else each * processes
    assert counter.value == expected, "no mutual exclusion"
    began, ended = min(one[0] for one in found), max(one[1] for one in found)
    return (ended - began) / (each * processes)


if __name__ == "__main__":
    kinds = {"count": count_under, "relay": relay}
    print(measure(kinds[sys.argv[1]], *map(int, sys.argv[2:])))
