# SPDX-License-Identifier: MIT
"""The two sides of a comparison as processes that take turns."""
import os
import select
import subprocess
import tempfile
import time

PATIENCE = 900  # seconds that a side may take to answer


class SideFailed(Exception):
    pass


class Side:
    """A program that set a job up and runs it for some time whenever it is told to (main.c, peers.py)."""

    def __init__(self, command, threads):
        self.clock = "cpu" if threads == 1 else "wall"
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env=environment(threads))
        self.mallocs = self.steps = self.peak = None
        self.expect("ready")

    def fail(self):
        self.process.kill()
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        raise SideFailed(lines[-1] if lines else f"ended with code {code} and no message")

    def answer(self):
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if readable else ""
        return line.split() or self.fail()

    def expect(self, word):
        words = self.answer()
        return words[1:] if words[0] == word else self.fail()

    def rate(self, seconds):
        try:
            print(seconds, self.clock, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            self.fail()
        rate, *counts = self.answer()
        if counts:
            self.mallocs, self.steps = (int(count) for count in counts)
        return float(rate)

    def end(self):
        self.process.stdin.close()
        self.peak = int(self.expect("peak")[0])
        self.process.wait()


class Starts:
    """A program that is started anew each time: the rate is processes a second."""

    def __init__(self, command, threads):
        self.command, self.environment = command, environment(threads)
        self.mallocs = self.steps = None
        self.peak = 0
        self.run()  # fills caches

    def run(self):
        begin = time.perf_counter()
        process = subprocess.Popen(self.command(), env=self.environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SideFailed(f"'{' '.join(process.args)}' ended with code {process.returncode}")
        self.peak = max(self.peak, usage.ru_maxrss)
        return time.perf_counter() - begin

    def rate(self, seconds):
        end, times = time.perf_counter() + seconds, []
        while not times or time.perf_counter() < end:
            times.append(self.run())
        return 1 / sorted(times)[len(times) // 2]

    def end(self):
        pass


def environment(threads):
    return os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


class Programs:
    """How each side is started."""

    def __init__(self, root, build, scratch):
        self.root, self.build, self.scratch = root, build, scratch
        self.peers = os.path.join(root, "tests", "bench", "peers.py")
        self.bench = os.path.join(build, "tests", "bench", "bench")
        self.runs = 0
        self.pythons = {}  # library -> (interpreter, version); "openblas" is called by the bench program itself
        for python in dict.fromkeys((os.environ.get("TENON_BENCH_PYTHON"), "/usr/bin/python3", "python3")):
            if python:
                self.find_libraries(python)

    def find_libraries(self, python):
        try:
            found = subprocess.run([python, self.peers, "versions"], capture_output=True, text=True)
        except OSError:
            return
        for line in found.stdout.splitlines():
            name, version = line.split()
            self.pythons.setdefault(name, (python, version))

    def has(self, library):
        return library == "openblas" or library in self.pythons

    def start_command(self):
        self.runs += 1
        return [os.path.join(self.build, "tenon"), "run", os.path.join(self.root, "tests", "bench", "start.ini"),
                "--quiet", "--directory", os.path.join(self.scratch, f"run{self.runs}")]

    def tenon(self, job, threads):
        if job.name == "start":
            return Starts(self.start_command, threads)
        return Side([self.bench, job.name], threads)

    def peer(self, job, library, threads):
        if library == "openblas":
            return Side([self.bench, job.peer_job(library)], threads)
        python, _ = self.pythons[library]
        if job.name == "start":
            return Starts(lambda: [python, self.peers, "start"], threads)
        return Side([python, self.peers, job.peer_job(library), str(threads)], threads)

    def limits(self, threads):
        words = subprocess.run([self.bench, "limits", str(threads)], capture_output=True, text=True, check=True,
                               env=environment(threads)).stdout.split()
        return {name: float(value) for name, value in zip(words[::2], words[1::2])}
