"""Python's ways of calling a function in a fresh process, measured for call_bench.

python_call.py Pool COUNT                  prints seconds per call in a fresh pool of one worker
python_call.py ProcessPoolExecutor COUNT   the same with a fresh executor
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

context = multiprocessing.get_context("fork")


def twice(number):
    return 2 * number


def with_pool():
    with context.Pool(1) as pool:
        return pool.apply(twice, (21,))


def with_executor():
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as executor:
        return executor.submit(twice, 21).result()


def main():
    call = {"Pool": with_pool, "ProcessPoolExecutor": with_executor}[sys.argv[1]]
    count = int(sys.argv[2])
    assert call() == 42
    began = time.monotonic()
    for _ in range(count):
        assert call() == 42
    print((time.monotonic() - began) / count)


if __name__ == "__main__":
    main()
