"""Python's multiprocessing queues, measured for queue_bench and queue_trip_bench.

python_queue.py flow KIND PRODUCERS CONSUMERS BYTES COUNT   prints seconds per message
python_queue.py trip KIND BYTES COUNT                       prints seconds per round trip
KIND is Queue, SimpleQueue or JoinableQueue. A wrong result is an exception, and a failed exit.
"""

import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")
NUMBER_BYTES = 8


def produce(queue, start, index, size, count):
    rest = bytes(size - NUMBER_BYTES)
    start.wait()
    for i in range(count):
        queue.put((index << 56 | i).to_bytes(NUMBER_BYTES, "little") + rest)
    queue.put(b"")


def consume(queue, start, stops, results):
    done = getattr(queue, "task_done", lambda: None)
    messages = total = 0
    last = {}
    start.wait()
    began = time.monotonic()
    while stops:
        message = queue.get()
        done()
        if not message:
            stops -= 1
            continue
        number = int.from_bytes(message[:NUMBER_BYTES], "little")
        assert last.get(number >> 56, -1) < number, "out of order"
        last[number >> 56] = number
        messages += 1
        total += number
    results.put((began, time.monotonic(), messages, total))


def flow(kind, producers, consumers, size, count):
    queue = getattr(context, kind)()
    results = context.SimpleQueue()
    start = context.Barrier(producers + consumers)
    each = count // producers
    workers = [
        context.Process(target=produce, args=(queue, start, i, size, each))
        for i in range(producers)
    ] + [
        context.Process(target=consume, args=(queue, start, producers // consumers, results))
        for _ in range(consumers)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in range(consumers)]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    expected = sum((p << 56) * each + each * (each - 1) // 2 for p in range(producers))
    assert sum(one[2] for one in found) == each * producers, "lost or duplicated"
    assert sum(one[3] for one in found) == expected, "other messages came"
    began, ended = min(one[0] for one in found), max(one[1] for one in found)
    return (ended - began) / (each * producers)


def echo(ping, pong, count):
    for _ in range(count):
        pong.put(ping.get())


def trip(kind, size, count):
    ping, pong = getattr(context, kind)(), getattr(context, kind)()
    child = context.Process(target=echo, args=(ping, pong, count + 1))
    child.start()
    message = bytes(size)
    ping.put(message)
    pong.get()
    began = time.monotonic()
    for _ in range(count):
        ping.put(message)
        assert pong.get() == message
    took = time.monotonic() - began
    child.join()
    assert child.exitcode == 0
    return took / count


if __name__ == "__main__":
    measure = {"flow": flow, "trip": trip}[sys.argv[1]]
    print(measure(sys.argv[2], *map(int, sys.argv[3:])))
