"""Round after round through all questions, within a time.

In each round the contenders of a question run one after the other, once each, in random order. The
first round tells what each case takes; what is left of the time is shared evenly among the cases,
so that dear ones get fewer rounds, and cheap ones all.
"""

import dataclasses
import os
import re
import time

from . import runs
from .figures import Figure


@dataclasses.dataclass(frozen=True)
class Effort:
    rounds: int
    seconds: float  # for all rounds
    left_out: dict = dataclasses.field(default_factory=dict)  # what cases, by a pattern

    def wants(self, case):
        return not self.leaves_out([case])

    def leaves_out(self, cases):
        """In words."""
        return [
            words
            for pattern, words in self.left_out.items()
            if any(re.search(pattern, case.short) for case in cases)
        ]


FULL = Effort(rounds=9, seconds=25 * 60)
QUICK = Effort(
    rounds=3,
    seconds=160,
    left_out={
        r"^(start|spawn)_join/.*/2000/": "parents of 2 GB",
        r"/py_(SimpleQueue|JoinableQueue)/": "Python's SimpleQueue and JoinableQueue",
    },
)


class Rounds:
    def __init__(self, effort, programs, output, noise, progress):
        self._effort, self._programs, self._output = effort, programs, output
        self._noise, self._progress = noise, progress
        self._values, self._costs = {}, {}
        self._began = time.monotonic()
        self.errors, self.unmeasured = [], []

    def run(self, cases):
        """The rows. Ctrl-C ends it with those that there are."""
        questions = {}
        for case in cases:
            questions.setdefault((case.program, case.question), []).append(case)
        try:
            wanted = {case: self._effort.rounds for case in cases}
            for number in range(1, self._effort.rounds + 1):
                self._round(number, questions, wanted)
                if number == 1:
                    wanted = shares(self._costs, self._effort.rounds, self._left())
        except KeyboardInterrupt:
            self.errors.append("interrupted")
        self._noise.sample()
        return [Figure(case, unit, tuple(values)) for (case, unit), values in self._values.items()]

    def _round(self, number, questions, wanted):
        for (program, question), cases in questions.items():
            cases = [case for case in cases if wanted.get(case, 0) >= number]
            if not cases:
                continue
            expected = sum(self._costs.get(case, 0) for case in cases)
            if expected > self._left():
                if number == 1:
                    self.unmeasured.append(f"{program} {question}")
                continue
            self._noise.sample()
            rest = self._rest(number, questions, wanted, (program, question))
            self._progress.begin(number, program, question, cases, rest + expected)
            output = os.path.join(self._output, f"{program}-{question}-{number}.json")
            result = runs.run(cases, self._programs[program], output, self._progress.step)
            self._keep(result)
            self._progress.end(self._rest(number, questions, wanted, (program, question)))

    def _keep(self, result):
        self._costs |= result.seconds
        self.errors += result.errors
        for case, (unit, value) in result.values.items():
            self._values.setdefault((case, unit), []).append(value)

    def _left(self):
        return self._effort.seconds - (time.monotonic() - self._began)

    def _rest(self, number, questions, wanted, now):
        """Seconds until the end: as far as known, else all the time there is."""
        if number == 1:
            return self._left()
        places = list(questions)
        later = {
            case
            for place in places[places.index(now) + 1 :]
            for case in questions[place]
            if wanted.get(case, 0) >= number
        }
        rest = sum(self._costs[c] for c in later if c in self._costs)
        rest += sum(self._costs[c] * max(0, wanted.get(c, 0) - number) for c in self._costs)
        return min(rest, self._left())


def shares(costs, rounds, seconds):
    """How many rounds each case gets, the first among them, if `seconds` are left after that."""
    found = {}
    for done, (case, cost) in enumerate(sorted(costs.items(), key=lambda item: item[1])):
        share = max(0, seconds) / (len(costs) - done)
        more = min(rounds - 1, int(share / max(cost, 1e-3)))
        found[case] = 1 + more
        seconds -= more * cost
    return found
