"""How benchmarks/gpu.py measures and what it keeps: device time by events, recorded work, and the report."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import timing

import tinycnn
from tinycnn import backend
from tinycnn.serialization import write_whole

DEVICE = "cuda"
EMULATED = os.environ.get("TINYCNN_EMULATE_GPU") == "1"


@cache
def torch() -> Any:
    """The module torch where it can use the GPU, else None."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def libraries() -> dict[str, Any]:
    """tinycnn, and torch where there is one to compare with, by name."""
    return {"tinycnn": tinycnn} | ({"torch": torch()} if torch() else {})


def synchronize() -> None:
    """Waits for all streams of both libraries."""
    backend.cupy().cuda.runtime.deviceSynchronize()


# --- time -------------------------------------------------------------------------------------------------


class Times(NamedTuple):
    """Seconds a call: between events on the device, by the host's clock until all is done, and until all is issued."""

    device: float
    wall: float
    issue: float


def timed(library: str, call: Callable[[], Any], calls: int) -> Times:
    """Of `calls` calls in a row, after which alone the host waits. All launches must be in the default stream."""
    cuda = backend.cupy().cuda
    start, end = [cuda.Event() if library == "tinycnn" else torch().cuda.Event(enable_timing=True) for _ in range(2)]
    synchronize()
    begun = time.perf_counter()
    start.record()
    for _ in range(calls):
        call()
    end.record()
    issued = time.perf_counter() - begun
    synchronize()
    wall = time.perf_counter() - begun
    milliseconds = cuda.get_elapsed_time(start, end) if library == "tinycnn" else start.elapsed_time(end)
    return Times(milliseconds / 1e3 / calls, wall / calls, issued / calls)


def in_turns(candidates: dict[str, Callable[[], Any]], rounds: int, seconds_a_turn: float) -> dict[str, Times]:
    """The medians over `rounds` turns of each candidate; a name begins with its library's.

    All make the same number of calls in a turn, so many that the slowest takes `seconds_a_turn`.
    """
    slowest = 0.0
    for name, call in candidates.items():
        timed(name.split()[0], call, 1)  # compiles, allocates, chooses algorithms
        slowest = max(slowest, timed(name.split()[0], call, 3 if seconds_a_turn else 1).wall)
    calls = max(1, min(500, int(seconds_a_turn / slowest)))
    found: dict[str, list[Times]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            timed(name.split()[0], call, min(2, calls))  # the other's data are in the caches
            found[name].append(timed(name.split()[0], call, calls))
    return {name: Times(*map(statistics.median, zip(*times, strict=True))) for name, times in found.items()}


def issue_seconds(call: Callable[[], Any], calls: int, rounds: int) -> float:
    """The median seconds for which one call keeps the host, which waits only after `calls` of them."""
    seconds = []
    for _ in range(rounds + 1):
        synchronize()
        begun = time.perf_counter()
        for _ in range(calls):
            call()
        seconds.append((time.perf_counter() - begun) / calls)
    synchronize()
    return statistics.median(seconds[1:])


# --- recorded work ----------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """Work as a CUDA graph: call it to replay. `nodes` counts what it launches, by kind, where that can be had."""

    replay: Callable[[], Any]
    nodes: dict[str, int] | None
    keep: Any  # the graph holds addresses only

    def __call__(self) -> None:
        self.replay()


@cache
def _stream(library: str) -> Any:
    """One stream to record in: cuBLAS has a workspace for each."""
    return backend.cupy().cuda.Stream(non_blocking=True) if library == "tinycnn" else torch().cuda.Stream()


def recorded(library: str, make: Callable[[], Callable[[], Any]]) -> Recorded:
    """What the function does that `make()` returns, without the host's part in it.

    `make` runs in the recording stream too, because torch computes gradients in the stream of the forward pass.
    """
    stream = _stream(library)
    synchronize()
    if library == "torch":
        with torch().cuda.stream(stream):
            work = make()
            for _ in range(3):
                work()
        synchronize()
        graph = torch().cuda.CUDAGraph()
        with torch().cuda.graph(graph, stream=stream):
            result = work()
            nodes = _nodes(stream.cuda_stream)
        return Recorded(graph.replay, nodes, (work, result))

    cuda = backend.cupy().cuda
    with stream:
        work = make()
        for _ in range(3):
            work()
    synchronize()
    pool = cuda.MemoryPool()
    with stream, cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        try:
            result = work()
            nodes = _nodes(stream.ptr)
        except BaseException:
            with suppress(RuntimeError):
                stream.end_capture()
            raise
        graph = stream.end_capture()
    return Recorded(graph.launch, nodes, (work, result, pool))


def _nodes(stream: int) -> dict[str, int] | None:
    """How many kernels, copies and fills the graph has that `stream` is recording; None without the driver's library.

    Asked of the driver while it records, because CuPy and torch may drop the graph once it is instantiated.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        capture_info = driver.cuStreamGetCaptureInfo_v2
    except (OSError, AttributeError):
        return None
    status, graph, count, kind = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_int()
    if capture_info(ctypes.c_void_p(stream), ctypes.byref(status), None, ctypes.byref(graph), None, None):
        return None
    if not graph or driver.cuGraphGetNodes(graph, None, ctypes.byref(count)):
        return None
    nodes = (ctypes.c_void_p * count.value)()
    driver.cuGraphGetNodes(graph, nodes, ctypes.byref(count))
    names = {0: "kernels", 1: "copies", 2: "fills"}
    result = dict.fromkeys((*names.values(), "others"), 0)
    for node in nodes:
        driver.cuGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind))
        result[names.get(kind.value, "others")] += 1
    return result


# --- the report -------------------------------------------------------------------------------------------


@dataclass
class Report:
    """The figures so far, printed as they come, and written to `out`.json and `out`.md after every section."""

    out: Path
    environment: dict[str, Any]
    settings: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Its rows belong to `title`. An error is recorded, and ends this section only."""
        self.titles.append(title)
        print(f"\n{title}", flush=True)
        begun = time.perf_counter()
        with self.part("all that follows"):
            yield
        print(f"  ({time.perf_counter() - begun:.0f} s)")
        self.write()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """An error is recorded under `name`, and ends this part only."""
        try:
            yield
        except Exception as error:
            text = f"{type(error).__name__}: {error}".strip()
            trace = traceback.format_exc()
            self.failures.append({"section": self.titles[-1], "part": name, "error": text, "traceback": trace})
            print(f"  {name}: FAILED: {text.splitlines()[0]}", flush=True)

    def add(self, name: str, tinycnn: Any = None, torch: Any = None, unit: str = "", **more: Any) -> None:
        """A row: both libraries' figures, their ratio where both are numbers; `goal` is the largest good ratio."""
        row = {"section": self.titles[-1], "name": name, "unit": unit, "tinycnn": tinycnn, "torch": torch, **more}
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (tinycnn, torch)) and torch:
            row["ratio"] = tinycnn / torch
        self.rows.append(row)
        print("  " + " | ".join(cell for cell in _cells(row) if cell), flush=True)

    def say(self, text: str) -> None:
        """A line instead of a figure: why there is none."""
        self.rows.append({"section": self.titles[-1], "name": text})
        print(f"  {text}", flush=True)

    def write(self) -> None:
        content = {"environment": self.environment, "settings": self.settings}
        content |= {"rows": self.rows, "failures": self.failures}
        for suffix, text in ((".json", json.dumps(content, indent=1, ensure_ascii=False)), (".md", self.markdown())):
            write_whole(f"{self.out}{suffix}", text.encode())

    def markdown(self) -> str:
        lines = ["# Figures on a GPU", "", ", ".join(f"{k} {v}" for k, v in self.environment.items() if v), ""]
        if EMULATED:
            lines += ["**Emulated on a CPU: these are no measurements of a GPU.**", ""]
        for title in self.titles:
            lines += [f"## {title}", "", "| | tinycnn | torch | ratio | goal | |", "|---|---|---|---|---|---|"]
            lines += [f"| {' | '.join(_cells(row))} |" for row in self.rows if row["section"] == title]
            failed = [failure for failure in self.failures if failure["section"] == title]
            lines += ["", *[f"- {f['part']}: failed: {f['error'].splitlines()[0]}" for f in failed], ""]
        return "\n".join(lines)


SCALES = {"ms": 1e3, "µs": 1e6, "MB": 1e-6}  # from seconds and bytes


def _cells(row: dict[str, Any]) -> list[str]:
    ratio, goal = row.get("ratio"), row.get("goal")
    return [
        row["name"],
        *[_formatted(row.get(library), row.get("unit", "")) for library in ("tinycnn", "torch")],
        "" if ratio is None else f"{ratio:.2f}",
        "" if goal is None else f"≤ {goal}",
        row.get("note") or "",
    ]


def _formatted(value: Any, unit: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float) or unit in SCALES:
        value = value * SCALES.get(unit, 1)
        return f"{value:,.{2 if abs(value) < 1000 else 0}f} {unit}".strip()
    return f"{value} {unit}".strip()


def environment() -> dict[str, Any]:
    """The machine and the versions, to be written beside the figures."""
    cupy = backend.cupy()
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
    versions: dict[str, Any] = {
        "GPU": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "driver's CUDA": cupy.cuda.runtime.driverGetVersion(),
        "CuPy": cupy.__version__,
        "CuPy's CUDA": cupy.cuda.runtime.runtimeGetVersion(),
        "tinycnn": tinycnn.__version__,
        "Python": platform.python_version(),
        "processor": timing._processor(),
        "cores": os.cpu_count(),
    }
    if torch():
        versions |= {"torch": torch().__version__, "torch's CUDA": torch().version.cuda}
        versions["cuDNN"] = torch().backends.cudnn.version()
        versions["cudnn.benchmark"] = torch().backends.cudnn.benchmark
    return versions
