"""What is being run, and how long it will take: one line that changes, or a line for each step."""

import sys


class Progress:
    def __init__(self, rounds, seconds, out=sys.stdout):
        self._rounds, self._left, self._out = rounds, seconds, out
        self._changes = out.isatty()
        self._head, self._done, self._count = "", 0, 0

    def begin(self, number, program, question, cases, left):
        self._left = left
        self._head = f"round {number}/{self._rounds}  {program} {question}"
        self._done, self._count = 0, len(cases)
        if self._changes:
            self._show()

    def step(self):
        self._done += 1
        if self._changes:
            self._show()

    def end(self, left):
        self._left = left
        if not self._changes:
            self._out.write(self._line() + "\n")
            self._out.flush()

    def close(self):
        if self._changes:
            self._out.write("\r\x1b[K")

    def _show(self):
        self._out.write("\r\x1b[K" + self._line())
        self._out.flush()

    def _line(self):
        left = max(0, round(self._left))
        done = f"{self._done:>2}/{self._count:<2} cases"
        return f"{self._head:<44} {done}   at most {left // 60}:{left % 60:02} left"
