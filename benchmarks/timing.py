"""How every benchmark here measures: the candidates take turns within one run, and medians are compared.

A shared machine's speed drifts, so only times taken side by side can be compared, and only their ratio is worth
quoting. Thread counts are fixed through the environment before NumPy and torch are loaded, hence in a process of
their own: each script runs itself once for each thread count.
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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Row = dict  # name, threads, tinycnn, torch (if installed), and where it is not seconds, unit


def wall_seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleaved(
    candidates: Mapping[Any, Callable[[], object]],
    repeats: int,
    warm_up: int = 3,
    calls: int = 1,
    uncounted: int = 1,
    clock: Callable[[Callable[[], object]], float] = wall_seconds,
) -> dict[Any, float]:
    """The median seconds a call of each candidate, over `repeats` turns after `warm_up` ones.

    In each turn a candidate is called `calls` times after `uncounted` calls that do not count: these find the caches
    full of the other's data, and the other's threads still spinning in wait for more work. `clock` calls a candidate
    and returns the seconds it took.
    """
    times: dict[Any, list[float]] = {name: [] for name in candidates}
    for turn in range(warm_up + repeats):
        for name, call in candidates.items():
            for i in range(uncounted + calls):
                seconds = clock(call)
                if turn >= warm_up and i >= uncounted:
                    times[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def libraries() -> list[str]:
    """tinycnn, and torch where there is one to compare with; says how to get it if not."""
    try:
        import torch  # noqa: F401
    except ImportError:
        from tinycnn._extras import how_to_install

        print(f"torch is not installed, so there are no ratios: {how_to_install('torch')}", file=sys.stderr)
        return ["tinycnn"]
    return ["tinycnn", "torch"]


def run(
    script: str, measure: Callable[[int, str, int], list[Row]], doc: str, threads: Sequence[int], repeats: int
) -> None:
    """The command line of a benchmark: measures in one process for each thread count, and prints a table.

    `measure(threads, only, repeats)` gives the rows whose name contains `only`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=list(threads))
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON; the inner process does")
    options = parser.parse_args()
    if options.json:
        print(json.dumps(measure(options.threads[0], options.only, options.repeats)))
        return
    print_table(in_processes(script, options.threads, options.only, options.repeats), doc.split("\n")[0])


def in_processes(script: str, threads: Sequence[int], only: str = "", repeats: int | None = None) -> list[Row]:
    """The rows of a benchmark script, measured in a process of its own for each thread count."""
    rows = []
    for count in threads:
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(count))
        command = [sys.executable, script, "--json", "--threads", str(count), "--only", only]
        command += [] if repeats is None else ["--repeats", str(repeats)]
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            sys.exit(f"{os.path.basename(script)}: the measurement with {count} thread(s) failed")
        rows += json.loads(result.stdout)
    return rows


def ratio(row: Row) -> float | None:
    """tinycnn's figure as a multiple of torch's."""
    return row["tinycnn"] / row["torch"] if "torch" in row else None


def print_table(rows: Sequence[Row], title: str) -> None:
    """One line a row: its name, the figures, and the ratio to torch."""
    if not rows:
        print(f"{title}: nothing measured")
        return
    width = max(len(row["name"]) for row in rows)
    print(f"\n{title}\n{'':{width}}  threads      tinycnn        torch        ratio")
    for row in rows:
        unit = row.get("unit", "ms")
        factor = 1e3 if unit == "ms" else 1
        line = f"{row['name']:{width}}  {row['threads']:7}  {row['tinycnn'] * factor:8.2f} {unit}"
        if "torch" in row:
            line += f"  {row['torch'] * factor:8.2f} {unit}  {ratio(row):11.2f}"
        print(line)


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
