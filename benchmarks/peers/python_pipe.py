"""Python's multiprocessing.Pipe, measured for pipe_bench and queue_bench.

python_pipe.py trip BYTES COUNT   prints seconds per round trip of a message, sent as plain bytes
python_pipe.py flow BYTES COUNT   prints seconds per message to a child

A wrong result is an exception, and a failed exit.
"""

import multiprocessing
import sys
import time

context = multiprocessing.get_context("fork")
NUMBER_BYTES = 8


def marked(number, size):
    """The number stands at both ends, so that half a message is not taken for a whole one."""
    end = number.to_bytes(NUMBER_BYTES, "little")
    return end + bytes(size - 2 * NUMBER_BYTES) + end


def echo(pipe, count):
    for _ in range(count):
        pipe.send_bytes(pipe.recv_bytes())


def trip(size, count):
    ours, theirs = context.Pipe()
    child = context.Process(target=echo, args=(theirs, count + 1))
    child.start()
    theirs.close()
    for i in range(count + 1):
        message = marked(i, size)
        ours.send_bytes(message)
        assert ours.recv_bytes() == message, "another message came back"
        if i == 0:  # the child has started
            began = time.monotonic()
    took = time.monotonic() - began
    child.join()
    assert child.exitcode == 0
    return took / count


def take(pipe, size, count):
    pipe.send_bytes(b"ready")
    for i in range(count):
        assert pipe.recv_bytes() == marked(i, size), "lost, out of order, or not what was sent"
    pipe.send_bytes(b"all")


def flow(size, count):
    ours, theirs = context.Pipe()
    child = context.Process(target=take, args=(theirs, size, count))
    child.start()
    theirs.close()
    ours.recv_bytes()
    began = time.monotonic()
    for i in range(count):
        ours.send_bytes(marked(i, size))
    ours.recv_bytes()
    took = time.monotonic() - began
    child.join()
    assert child.exitcode == 0
    return took / count


if __name__ == "__main__":
    measure = {"trip": trip, "flow": flow}[sys.argv[1]]
    print(measure(*map(int, sys.argv[2:])))
