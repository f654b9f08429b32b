"""Python's multiprocessing.Event, measured for event_bench.

python_event.py WAITERS ROUNDS   prints seconds from the set until all waiters are awake
"""

import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")
# Each waiter has two words: the round that it will wait in, and when it was awake in that round.
ROUND, AWAKE, WORDS = 0, 1, 2


def wait_in_rounds(events, words, index, rounds):
    for number in range(1, rounds + 2):
        words[WORDS * index + ROUND] = number
        events[number % 2].wait()
        words[WORDS * index + AWAKE] = time.monotonic_ns()


def wait_until(holds):
    """Looks now and then, so that the waiters have the processors."""
    while not holds():
        time.sleep(0.002)


def measure_round(events, words, waiters, number):
    wait_until(lambda: all(one == number for one in words[ROUND::WORDS]))
    for index in range(waiters):
        words[WORDS * index + AWAKE] = 0
    time.sleep(0.005 + 0.0001 * waiters)  # until they sleep
    assert not any(words[AWAKE::WORDS]), "awake before the set"
    began = time.monotonic_ns()
    events[number % 2].set()
    wait_until(lambda: all(words[AWAKE::WORDS]))
    events[number % 2].clear()
    return (max(words[AWAKE::WORDS]) - began) * 1e-9


def measure(waiters, rounds):
    events = [context.Event(), context.Event()]
    words = context.RawArray("q", WORDS * waiters)
    workers = [
        context.Process(target=wait_in_rounds, args=(events, words, index, rounds), daemon=True)
        for index in range(waiters)
    ]
    for worker in workers:
        worker.start()
    # The first round does not count.
    took = [measure_round(events, words, waiters, number) for number in range(1, rounds + 2)][1:]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    return sum(took) / rounds


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])))
