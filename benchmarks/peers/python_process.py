"""Starting a function in a process and joining it, by Python's multiprocessing.

python_process.py METHOD MEGABYTES FDS COUNT   prints seconds per start and join
"""

import multiprocessing
import os
import sys
import time


def nothing():
    pass


def main():
    method, megabytes, fds, count = sys.argv[1], *map(int, sys.argv[2:])
    ballast = b"x" * (megabytes << 20)
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(fds)]
    context = multiprocessing.get_context(method)

    def start_and_join():
        child = context.Process(target=nothing)
        child.start()
        child.join()
        assert child.exitcode == 0

    start_and_join()
    began = time.monotonic()
    for _ in range(count):
        start_and_join()
    print((time.monotonic() - began) / count)
    del ballast, held


if __name__ == "__main__":
    main()
