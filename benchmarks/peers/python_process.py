"""Starting a function in a process and joining it, by Python's multiprocessing.

python_process.py METHOD MEGABYTES FDS COUNT        prints seconds per start and join
python_process.py idle_METHOD MEGABYTES FDS COUNT   prints the mean PSS of an idle child in bytes
"""

import multiprocessing
import os
import sys
import time


def nothing():
    pass


def say_and_idle(ready):
    ready.send("r")
    time.sleep(24 * 60 * 60)


def pss_of(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return 1024 * next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def mean_pss(context, count):
    children = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        child = context.Process(target=say_and_idle, args=(theirs,))
        child.start()
        assert ours.recv() == "r"
        children.append(child)
    mean = sum(pss_of(child.pid) for child in children) / count
    for child in children:
        child.kill()
        child.join()
    return mean


def main():
    method, megabytes, fds, count = sys.argv[1], *map(int, sys.argv[2:])
    ballast = b"x" * (megabytes << 20)
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(fds)]
    is_idle = method.startswith("idle_")
    context = multiprocessing.get_context(method.removeprefix("idle_"))
    if is_idle:
        print(mean_pss(context, count))
        return

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
