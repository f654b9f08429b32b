"""Whether something else is at work on the machine.

Between the runs a fixed loop is timed. If it does not take the same time always, neither does what
is measured. Meanwhile, /proc/stat tells how much of the processors others have had, which the loop
alone does not notice where there are several.
"""

import os
import statistics
import time

SPINS, SPIN_ROUNDS = 12, 150_000
SLOW_HALF, SLOW_TENTH, OTHERS, STOLEN = 1.05, 1.25, 0.10, 0.02

CRITERION = (
    f"the machine is noisy if a fixed loop, timed {SPINS} times before, between and after the "
    f"runs, took in the median more than {100 * (SLOW_HALF - 1):.0f} % or in the slowest tenth "
    f"more than {100 * (SLOW_TENTH - 1):.0f} % longer than the fastest, or if meanwhile other "
    f"processes used more than {100 * OTHERS:.0f} % of a processor or the hypervisor took more "
    f"than {100 * STOLEN:.0f} %"
)


class Noise:
    def __init__(self):
        self.load_before = os.getloadavg()
        self._spins = []
        self._wall = self._others = self._stolen = 0.0

    def sample(self):
        began, mine, machine = time.monotonic(), time.process_time(), _machine_time()
        for _ in range(SPINS):
            self._spins.append(_spin())
        busy, stolen = (now - then for now, then in zip(_machine_time(), machine))
        self._wall += time.monotonic() - began
        self._others += busy - (time.process_time() - mine)
        self._stolen += stolen

    def found(self):
        fastest = min(self._spins)
        return {
            "half": statistics.median(self._spins) / fastest,
            "tenth": statistics.quantiles(self._spins, n=10)[-1] / fastest,
            "others": max(0.0, self._others / self._wall),
            "stolen": self._stolen / self._wall,
            "load_before": self.load_before[0],
            "load_after": os.getloadavg()[0],
        }


def warnings(found):
    """Sentences."""
    said = []
    if found["half"] > SLOW_HALF or found["tenth"] > SLOW_TENTH:
        said.append(
            f"the fixed loop took {100 * (found['half'] - 1):.0f} % longer than its fastest in the "
            f"median, {100 * (found['tenth'] - 1):.0f} % in the slowest tenth"
        )
    if found["others"] > OTHERS:
        said.append(f"other processes used {100 * found['others']:.0f} % of a processor")
    if found["stolen"] > STOLEN:
        said.append(f"the hypervisor took {100 * found['stolen']:.1f} % of a processor")
    return said


def _spin():
    began = time.perf_counter()
    total = 0
    for i in range(SPIN_ROUNDS):
        total += i
    assert total == SPIN_ROUNDS * (SPIN_ROUNDS - 1) // 2
    return time.perf_counter() - began


def _machine_time():
    """Seconds of all processors: busy without what the hypervisor took, and that."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick
