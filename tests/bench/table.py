# SPDX-License-Identifier: MIT
"""docs/benchmarks.md: what was measured last, as a table that can be read back."""
import os
import platform
import re
import subprocess
from dataclasses import dataclass

HEAD = ["row", "threads", "tenon", "peer", "", "ratio", "spread", "of the limit", "memory in MB", "malloc calls",
        "date"]

LIMITS = {"threads": "", "sgemm": "GFLOP/s", "copy": "GB/s", "triad": "GB/s", "update": "GB/s"}


@dataclass
class Result:
    job: str
    threads: int
    tenon: float        # in the row's unit
    peer: float         # 0: none
    library: str        # of the peer, "" without one
    unit: str
    ratio: float        # of speeds: above 1, tenon is faster; 0 without a peer
    spread: tuple       # smallest and largest ratio of two neighbouring measurements
    share: float        # of the machine's limit, 0 where there is none
    memory: tuple       # peak of tenon and of the peer in kB
    mallocs: float      # a step, None if not counted
    date: str

    def key(self):
        return self.job, self.library, self.threads

    def cells(self):
        peer = f"{number(self.peer)} ({self.library})" if self.library else ""
        memory = " / ".join(f"{kilobytes / 1024:.0f}" for kilobytes in self.memory if kilobytes)
        return [f"`{self.job}`", str(self.threads), number(self.tenon), peer, self.unit,
                f"{number(self.ratio)}" if self.library else "",
                f"{number(self.spread[0])} to {number(self.spread[1])}" if self.library else "",
                f"{100 * self.share:.0f} %" if self.share else "", memory,
                "" if self.mallocs is None else number(self.mallocs), self.date]


def number(value):
    """Three significant digits, thousands set apart."""
    if value >= 1000:
        digits = len(f"{value:.0f}")
        return f"{round(value, 3 - digits):,.0f}"
    return f"{value:.3g}"


@dataclass
class Recorded:
    """What the file says: the ratio of each key, its line, and the line of limits of each number of threads."""
    machine: str
    ratios: dict
    lines: dict
    limits: dict


def read(path):
    recorded = Recorded("", {}, {}, {})
    if not os.path.exists(path):
        return recorded
    with open(path) as file:
        for line in file.read().splitlines():
            if line.startswith("Machine: "):
                recorded.machine = line
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == len(LIMITS) and cells[0].isdigit():
                recorded.limits[int(cells[0])] = line
            if len(cells) != len(HEAD) or not cells[0].startswith("`"):
                continue
            library = re.search(r"\((\w+)\)", cells[3])
            key = cells[0].strip("`"), library[1] if library else "", int(cells[1])
            recorded.lines[key] = line
            if cells[5]:
                recorded.ratios[key] = float(cells[5].replace(",", ""))
    return recorded


def first_line(path, start):
    try:
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(start)), "")
    except OSError:
        return ""


def machine():
    memory = int(first_line("/proc/meminfo", "MemTotal").split()[0]) / 1024 ** 2
    levels = [f for f in ("avx2", "avx512f") if f in first_line("/proc/cpuinfo", "flags").split()]
    return (f"Machine: {first_line('/proc/cpuinfo', 'model name') or platform.machine()}, {os.cpu_count()} threads, "
            f"{' '.join(levels)}, {memory:.0f} GB, Linux {platform.release()}.")


def versions(root, pythons):
    def said(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, cwd=root).stdout.strip()
        except OSError:
            return ""
    commit = said("git", "rev-parse", "--short=10", "HEAD")
    peers = ", ".join(f"{name} {version}" for name, (_, version) in pythons.items()) or "none"
    return (f"Versions: tenon {commit}, {said('cc', '--version').splitlines()[0]}, OpenBLAS "
            f"{said('pkg-config', '--modversion', 'openblas')}. Peers: {peers}.")


TEXT = """\
# Benchmarks

Written by `./dev bench`. Each line is one job, done by tenon and by the library that a user would take instead, on the
same machine, in turn (A B A B ...), in one run. Figures are medians. The ratio is that of the speeds: above 1 tenon is
faster; the spread is from the smallest to the largest ratio of two neighbouring measurements. With one thread the clock
is the processor's time, otherwise the wall's. Memory is the peak of the whole process, tenon's and the peer's. Calls of
malloc are counted in tenon's core, a step, after warming up. The limit is what this machine was measured to do in the same
run.
"""


def write(path, jobs, recorded, results, limits, head_lines):
    lines = dict(recorded.lines)
    lines.update({result.key(): f"| {' | '.join(result.cells())} |" for result in results})
    order = {job.name: i for i, job in enumerate(jobs)}
    keys = sorted((key for key in lines if key[0] in order), key=lambda key: (key[2], order[key[0]], key[1]))
    text = [TEXT, *(line + "\n" for line in head_lines)]
    limit_lines = dict(recorded.limits)
    for threads, limit in limits.items():
        limit_lines[threads] = f"| {threads} | " + " | ".join(number(limit[name]) for name in LIMITS if LIMITS[name]) + " |"
    text += [f"| {' | '.join(f'{name} in {unit}' if unit else name for name, unit in LIMITS.items())} |",
             "|--:" * len(LIMITS) + "|", *(limit_lines[threads] for threads in sorted(limit_lines))]
    text += ["", f"| {' | '.join(HEAD)} |", "|---" + "|--:" * (len(HEAD) - 1) + "|", *(lines[key] for key in keys), "",
             "| row | job |", "|---|---|", *(f"| `{job.name}` | {job.text} |" for job in jobs), ""]
    with open(path, "w") as file:
        file.write("\n".join(text))
