"""How every benchmark here measures: the libraries take turns, each in a process of its own, and medians are compared.

A shared machine's speed drifts, so only times taken side by side can be compared, and only their ratio is worth
quoting. Two libraries in one process would share its memory allocator, its caches and its BLAS threads, which a user's
program with one of them does not. While one process measures, the other waits for a line of its input.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinycnn._files import write_whole

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TURN_SECONDS = 0.1  # that a turn lasts at least: calls that are shorter are repeated
NAME_WIDTH = 58

Row = dict  # name, threads, tinycnn, torch (if installed), and where it is not seconds, unit
# By name, calls of no arguments, made for a library: tinycnn or torch.
Calls = Mapping[str, Callable[[], object]]
Groups = Mapping[str, Callable[[Any], Calls]]


def wall_seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# --- in one process -----------------------------------------------------------------------------------------


def interleaved(
    candidates: Mapping[Any, Callable[[], object]],
    repeats: int,
    warm_up: int = 3,
    calls: int = 1,
    uncounted: int = 1,
    clock: Callable[[Callable[[], object]], float] = wall_seconds,
) -> dict[Any, float]:
    """The median seconds a call of each candidate, over `repeats` turns after `warm_up` ones; for a GPU, whose
    candidates share one process.

    In each turn a candidate is called `calls` times after `uncounted` calls that do not count. `clock` calls a
    candidate and returns the seconds it took.
    """
    times: dict[Any, list[float]] = {name: [] for name in candidates}
    for turn in range(warm_up + repeats):
        for name, call in candidates.items():
            for i in range(uncounted + calls):
                seconds = clock(call)
                if turn >= warm_up and i >= uncounted:
                    times[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


# --- each library in a process of its own ---------------------------------------------------------------------


class Worker:
    """A process that has one library, with a fixed number of threads, and makes the calls of one group."""

    def __init__(self, script: str, library: str, threads: int, group: str):
        command = [sys.executable, script, "--worker", library, "--threads", str(threads), "--only", group]
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.calls: list[str] = self._answer()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()

    def turn(self, call: str, uncounted: int) -> list[float]:
        """The seconds of each call in a turn, after some that do not count."""
        return self._answer([call, uncounted])

    def peak_bytes(self) -> int:
        """The most memory that the process has had, above what it had with the library alone."""
        return self._answer([])

    def _answer(self, *question: Any) -> Any:
        for each in question:
            print(json.dumps(each), file=self.process.stdin)
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            sys.exit(f"a process of the measurement ended with status {self.process.wait()}")
        return json.loads(line)


def _work(groups: Groups, library: str, threads: int, group: str) -> None:
    """What the process of a `Worker` does: it answers each line of its input with one."""
    import nets

    answers, sys.stdout = sys.stdout, sys.stderr  # what else is printed goes elsewhere
    lib = nets.library(library, threads)
    before = _memory("VmRSS")
    _reset_peak()
    calls = groups[group](lib)
    print(json.dumps(list(calls)), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        answer: Any = _turn(calls[question[0]], question[1]) if question else _memory("VmHWM") - before
        print(json.dumps(answer), file=answers, flush=True)


def _turn(call: Callable[[], object], uncounted: int) -> list[float]:
    for _ in range(uncounted):
        call()
    seconds, end = [], time.perf_counter() + TURN_SECONDS
    while not seconds or time.perf_counter() < end:
        seconds.append(wall_seconds(call))
    return seconds


def _memory(field: str) -> int:
    """Bytes of this process's memory: VmRSS now, VmHWM the most since `_reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def measured(
    script: str, group: str, threads: int, repeats: int, only: str = "", uncounted: int = 1, peak: bool = False
) -> Iterator[Row]:
    """A row for each call of a group whose name contains `only`: the median seconds of a call over `repeats` turns,
    after one that does not count.

    In each turn, `uncounted` calls find the caches full of the other's data. With `peak`, a row more: the megabytes
    that the process took for all of them.
    """
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(script, name, threads, group)) for name in libraries()}
        names = {call: ": ".join(filter(None, (group, call))) for call in workers["tinycnn"].calls}
        names = {call: name for call, name in names.items() if only.lower() in name.lower()}
        for call, name in names.items():
            times: dict[str, list[float]] = {library: [] for library in workers}
            for turn in range(1 + repeats):
                for library, worker in workers.items():
                    seconds = worker.turn(call, uncounted)
                    times[library] += seconds if turn else []
            yield {"name": name, "threads": threads} | {lib: statistics.median(each) for lib, each in times.items()}
        if peak and names:
            row = {"name": f"{group}: peak memory", "threads": threads, "unit": "MB"}
            yield row | {library: worker.peak_bytes() / 1e6 for library, worker in workers.items()}


def libraries() -> list[str]:
    """tinycnn, and torch where there is one to compare with; says how to get it if not."""
    if find_spec("torch") is None:
        from tinycnn._extras import how_to_install

        print(f"torch is not installed, so there are no ratios: {how_to_install('torch')}", file=sys.stderr)
        return ["tinycnn"]
    return ["tinycnn", "torch"]


def run(script: str, groups: Groups, doc: str, threads: Sequence[int], repeats: int, **options: Any) -> None:
    """The command line of a benchmark: measures its groups with each number of threads, and prints a table.

    `groups[name](library)` makes the calls of a group; `options` are those of `measured`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=list(threads))
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--repeats", type=int, default=repeats, help="turns that each library takes")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return _work(groups, given.worker, given.threads[0], given.only)
    print_header(doc.split("\n")[0])
    rows = []
    for count in given.threads:
        for group in groups:
            if given.only.lower() in group.lower() or group.lower() in given.only.lower():
                for row in measured(script, group, count, given.repeats, given.only, **options):
                    print_row(row)
                    rows.append(row)
    if given.json:
        write_whole(given.json, json.dumps(rows, indent=1, ensure_ascii=False).encode())


def ratio(row: Row) -> float | None:
    """tinycnn's figure as a multiple of torch's."""
    return row["tinycnn"] / row["torch"] if "torch" in row else None


def print_header(title: str) -> None:
    print(f"\n{title}\n{'':{NAME_WIDTH}}  threads     tinycnn        torch        ratio")


def print_row(row: Row) -> None:
    """The row's name, the figures, and the ratio to torch, on one line."""
    unit = row.get("unit", "ms")
    factor = 1e3 if unit == "ms" else 1
    line = f"{row['name']:{NAME_WIDTH}}  {row['threads']:7}  {row['tinycnn'] * factor:8.2f} {unit}"
    if "torch" in row:
        line += f"  {row['torch'] * factor:8.2f} {unit}  {ratio(row):11.2f}"
    print(line, flush=True)


def environment() -> dict[str, Any]:
    """The machine and the versions, to be written beside the figures."""
    import numpy

    versions = {"python": platform.python_version(), "numpy": numpy.__version__}
    if "torch" in libraries():
        import torch

        versions["torch"] = torch.__version__
    return {"machine": platform.machine(), "processor": _processor(), "cores": os.cpu_count(), **versions}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
