"""What tests/examples/wordcount does, by Python's multiprocessing, for wordcount_bench.

python_wordcount.py Pool N PATH            counts in a Pool, by imap_unordered in chunks
python_wordcount.py JoinableQueue N PATH   counts in N processes, which take names from a queue

Prints lines, words and bytes of all files under PATH, and the word total. A word is a run of
non-blank bytes of which at least one is printable.
"""

import multiprocessing
import os
import sys

context = multiprocessing.get_context("fork")
BLANKS = b" \t\n\v\f\r"
# Without these a word is still a word, if anything is left of it.
UNPRINTABLE = bytes(byte for byte in range(256) if not 32 < byte < 127 and byte not in BLANKS)


def count(name):
    with open(name, "rb") as file:
        data = file.read()
    return data.count(b"\n"), len(data.translate(None, UNPRINTABLE).split()), len(data)


def walk(path):
    """All regular files; symbolic links are not followed."""
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path


def by_pool(workers, path):
    with context.Pool(workers) as pool:
        yield from pool.imap_unordered(count, walk(path), chunksize=64)


def work(jobs, answers):
    while (name := jobs.get()) is not None:
        answers.put(count(name))
        jobs.task_done()
    jobs.task_done()
    answers.put(None)  # comes after all other answers of this process, and only of this one


def hand_out(jobs, workers, path):
    for name in walk(path):
        jobs.put(name)
    for _ in range(workers):
        jobs.put(None)
    jobs.join()


def by_queue(workers, path):
    """One more process walks: a thread of this one would take turns with it."""
    jobs, answers = context.JoinableQueue(1000), context.Queue()
    processes = [context.Process(target=work, args=(jobs, answers)) for _ in range(workers)]
    processes.append(context.Process(target=hand_out, args=(jobs, workers, path)))
    for process in processes:
        process.start()
    for _ in range(workers):
        yield from iter(answers.get, None)
    for process in processes:
        process.join()
        assert process.exitcode == 0


if __name__ == "__main__":
    all_of = {"Pool": by_pool, "JoinableQueue": by_queue}[sys.argv[1]]
    print(*map(sum, zip(*all_of(int(sys.argv[2]), sys.argv[3]))), "total")
