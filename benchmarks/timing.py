"""How every benchmark here measures: the candidates take turns within one run, and medians are compared.

A shared machine's speed drifts, so only times taken side by side can be compared, and only their ratio is worth
quoting. Thread counts are fixed through the environment before NumPy and torch are loaded, hence in a process of
their own.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def interleaved(candidates: dict[str, Callable[[], object]], repeats: int, warm_up: int = 3) -> dict[str, float]:
    """The median seconds a call of each candidate, called in turn `repeats` times."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(warm_up + repeats):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if i >= warm_up:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def in_process(script: str, arguments: Sequence[str], threads: int) -> list[dict]:
    """Runs a benchmark script with `threads` threads; it prints its rows as one line of JSON."""
    environment = os.environ | {variable: str(threads) for variable in THREAD_VARIABLES}
    command = [sys.executable, script, *arguments]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        sys.exit(f"{os.path.basename(script)}: the measurement with {threads} thread(s) failed")
    return json.loads(result.stdout)


def has_torch() -> bool:
    """Whether there is a torch to compare with; says how to get one if not."""
    try:
        import torch  # noqa: F401
    except ImportError:
        print("torch is not installed, so there are no ratios: pip install 'tinycnn[torch]'", file=sys.stderr)
        return False
    return True


def ratio(row: dict) -> float | None:
    """tinycnn's time as a multiple of torch's."""
    return row["tinycnn"] / row["torch"] if "torch" in row else None


def print_table(rows: Sequence[dict], title: str) -> None:
    """One line a row: its name, milliseconds, and the ratio to torch."""
    width = max(len(row["name"]) for row in rows)
    print(f"\n{title}\n{'':{width}}  threads   tinycnn ms     torch ms    ratio")
    for row in rows:
        line = f"{row['name']:{width}}  {row['threads']:7}  {row['tinycnn'] * 1e3:11.2f}"
        if "torch" in row:
            line += f"  {row['torch'] * 1e3:11.2f}  {ratio(row):7.2f}"
        print(line)


def environment() -> dict[str, str | int | None]:
    """The machine and the versions, to be written beside the figures."""
    import numpy

    versions = {"numpy": numpy.__version__, "python": platform.python_version()}
    if "torch" in sys.modules or has_torch():
        import torch

        versions["torch"] = torch.__version__
    return {"machine": platform.machine(), "processor": _processor(), "cores": os.cpu_count(), **versions}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
