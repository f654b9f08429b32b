"""Python's multiprocessing.Pipe, measured for pipe_bench.

python_pipe.py trip BYTES COUNT   prints seconds per round trip of a message, sent as plain bytes
"""

import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")


def echo(pipe, count):
    for _ in range(count):
        pipe.send_bytes(pipe.recv_bytes())


def trip(size, count):
    ours, theirs = context.Pipe()
    child = context.Process(target=echo, args=(theirs, count + 1))
    child.start()
    for i in range(count + 1):
        message = i.to_bytes(size, "little")
        ours.send_bytes(message)
        assert ours.recv_bytes() == message, "another message came back"
        if i == 0:  # the child has started
            began = time.monotonic()
    took = time.monotonic() - began
    child.join()
    assert child.exitcode == 0
    return took / count


if __name__ == "__main__":
    assert sys.argv[1] == "trip"
    print(trip(*map(int, sys.argv[2:])))
