"""Every figure of a GPU in docs/performance.md, tinycnn beside torch where torch can use the GPU too.

One call measures all, in a few minutes. After every section it writes the raw figures to OUT.json and the tables for
that page, which says how each is measured, to OUT.md. A part that fails is recorded, and the others go on. Without a
GPU it says what is missing and ends with code 1.

    python benchmarks/gpu.py [--data-root DIR] [--only steps memory] [--out benchmarks/gpu-results]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

EMULATED = os.environ.get("TINYCNN_EMULATE_GPU") == "1"  # to try the script without a GPU
if EMULATED:
    from tests import emulator

    emulator.install()
    os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())

import kernels  # noqa: E402
import nets  # noqa: E402
import operators  # noqa: E402
import timing  # noqa: E402

import tinycnn  # noqa: E402
from tinycnn import backend  # noqa: E402
from tinycnn._files import write_whole  # noqa: E402
from tinycnn.data import MNIST, prefetch_to_device  # noqa: E402

DEVICE = "cuda"
NETS = {"LeNet-5": (nets.lenet, "SGD"), "wide net": (nets.wide, "Adam")}
WAYS = ("eager", "captured")


@cache
def libraries() -> dict[str, Any]:
    """tinycnn, and torch where it can use the GPU, by name."""
    found: dict[str, Any] = {"tinycnn": tinycnn}
    with suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            torch.backends.cudnn.benchmark = True
            found["torch"] = torch
    return found


def allow_tf32(allowed: bool) -> None:
    """Whether both libraries may round the operands of float32 products to TF32."""
    tinycnn.set_float32_matmul_precision("high" if allowed else "highest")
    if torch := libraries().get("torch"):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def maker(library: str, net: str, batch: int, precision: str = "float32", recordable: bool = False) -> Callable:
    """A function that makes the training step of `nets.training_step` on the device."""
    lib, (build, optimizer) = libraries()[library], NETS[net]
    autocast = lib.amp.autocast(DEVICE, dtype=lib.bfloat16) if precision == "bfloat16" else None
    # torch counts Adam's steps on the host unless it is told that the step will be recorded.
    options = {"capturable": True} if recordable and library == "torch" and optimizer == "Adam" else {}
    return partial(nets.training_step, lib, build, batch, optimizer, DEVICE, autocast, **options)


def replay(library: str, make: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    """The function that `make()` returns, recorded as a CUDA graph."""
    if library == "tinycnn":
        recorded = tinycnn.cuda.capture(make())
        times_over(recorded, 3)()  # two calls run as they are, the third is recorded
        return recorded
    # As torch's documentation does it: warm up in another stream than the default one, then record.
    torch = libraries()["torch"]
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):  # `make` too: torch computes gradients in the stream of the forward pass
        work = make()
        times_over(work, 3)()
    tinycnn.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        work()

    def call(_keep: Any = work) -> None:  # the graph holds only the addresses of what `work` owns
        graph.replay()

    return call


def training_step(library: str, net: str, batch: int, precision: str, way: str) -> Callable[[], Any]:
    """A training step, eager or captured, after its first calls."""
    make = maker(library, net, batch, precision, recordable=way == "captured")
    call = make() if way == "eager" else replay(library, make)
    times_over(call, 3)()
    return call


def device_seconds(call: Callable[[], Any]) -> float:
    """The time between two events in the default stream, in which both libraries work."""
    cuda = backend.cupy().cuda
    start, end = cuda.Event(), cuda.Event()
    tinycnn.cuda.synchronize()
    start.record()
    call()
    end.record()
    tinycnn.cuda.synchronize()
    return cuda.get_elapsed_time(start, end) / 1e3


def host_seconds(call: Callable[[], Any]) -> float:
    """The time until `call` returns, whether the device has done its work or not."""
    tinycnn.cuda.synchronize()
    return timing.wall_seconds(call)


def times_over(work: Callable[[], Any], count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            work()

    return run


def medians(calls: dict, options: argparse.Namespace, clock: Callable = device_seconds) -> dict[Any, float]:
    """The median seconds of each call, in turns. A turn is many calls in a row, so that what comes before and after
    them counts little; but few for the host's clock, because the host waits where a thousand launches are not done."""
    slowest, most = max(map(clock, calls.values())), 5 if clock is host_seconds else 200
    count = max(1, min(most, int(options.turn / slowest)))
    turns = {name: times_over(call, count) for name, call in calls.items()}
    seconds = timing.interleaved(turns, options.rounds, warm_up=1, uncounted=0, clock=clock)
    return {name: value / count for name, value in seconds.items()}


# --- the report ----------------------------------------------------------------------------------------------

SCALES = {"ms": 1e3, "µs": 1e6, "MB": 1e-6}  # from seconds and bytes


@dataclass
class Report:
    """The figures so far. Each belongs to a cell of its section's table: a row and a column."""

    out: Path
    environment: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    section: str = ""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """An error is recorded under `name`, and ends this part only."""
        try:
            yield
        except Exception as error:
            text, trace = f"{type(error).__name__}: {error}".splitlines()[0], traceback.format_exc()
            self.failures.append({"section": self.section, "part": name, "error": text, "traceback": trace})

    def each(self, name: str, make: Callable[[str], Any]) -> dict[str, Any]:
        """`make(library)` of each library, less those that fail."""
        found = {}
        for library in libraries():
            with self.part(f"{name}, {library}"):
                found[library] = make(library)
        return found

    def add(self, row: str, column: str, unit: str, figures: dict[str, Any]) -> None:
        """`figures` are tinycnn's and torch's, in seconds, bytes or numbers; `unit` is what the table shows."""
        if "tinycnn" in figures:
            self.rows.append({"section": self.section, "row": row, "column": column, "unit": unit, **figures})

    def table(self, section: str) -> str:
        """The figures of a section as Markdown: "**ratio** (tinycnn / torch unit)"."""
        lines, rows = [f"### {section.capitalize()}", ""], [row for row in self.rows if row["section"] == section]
        if columns := list(dict.fromkeys(row["column"] for row in rows)):
            lines += [f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for name in dict.fromkeys(row["row"] for row in rows):
            cells = {row["column"]: _cell(row) for row in rows if row["row"] == name}
            lines.append(f"| {name} | {' | '.join(cells.get(column, '') for column in columns)} |")
        failed = [f"- {f['part']}: failed: {f['error']}\n" for f in self.failures if f["section"] == section]
        return "\n".join([*lines, "", *failed])

    def write(self) -> None:
        content = {"environment": self.environment, "rows": self.rows, "failures": self.failures}
        head = ", ".join(f"{name} {value}" for name, value in self.environment.items())
        head += "\n\n**Emulated on a CPU: these are no measurements of a GPU.**" if EMULATED else ""
        sections = dict.fromkeys(entry["section"] for entry in (*self.rows, *self.failures))
        write_whole(f"{self.out}.json", json.dumps(content, indent=1, ensure_ascii=False).encode())
        write_whole(f"{self.out}.md", "\n".join([head, "", *map(self.table, sections)]).encode())


def _cell(row: timing.Row) -> str:
    figures = [row[library] * SCALES.get(row["unit"], 1) for library in ("tinycnn", "torch") if library in row]
    text = " / ".join(f"{figure:,.2f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures)
    text = f"{text} {row['unit']}".strip()
    return f"**{timing.ratio(row):.2f}** ({text})" if row.get("torch") else text


def environment() -> dict[str, Any]:
    """The machine and the versions, to be written beside the figures."""
    cupy, found = backend.cupy(), timing.environment()
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        found["driver"] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    if torch := libraries().get("torch"):
        found |= {"torch's CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    runtime = cupy.cuda.runtime
    found |= {"CUDA": runtime.runtimeGetVersion(), "CuPy": cupy.__version__, "tinycnn": tinycnn.__version__}
    name = runtime.getDeviceProperties(runtime.getDevice())["name"].decode()
    return {"GPU": name, **found}


# --- what is measured ----------------------------------------------------------------------------------------

STEPS = [(net, batch, "float32") for net in NETS for batch in (64, 512)]
STEPS += [("wide net", 512, precision) for precision in ("TF32", "bfloat16")]  # LeNet's products are too small


def steps(report: Report, options: argparse.Namespace) -> None:
    quick = [("LeNet-5", 2, "float32"), ("wide net", 2, "TF32"), ("wide net", 2, "bfloat16")]
    for net, batch, precision in quick if options.quick else STEPS:
        row = f"{net}, batch {batch:,}, {precision}"
        allow_tf32(precision == "TF32")
        with report.part(row):
            calls: dict[tuple[str, str], Callable] = {}
            for way in WAYS:
                make = partial(training_step, net=net, batch=batch, precision=precision, way=way)
                calls |= {(library, way): call for library, call in report.each(f"{row}, {way}", make).items()}
            seconds = medians(calls, options)
            for ours, theirs in (("eager", "eager"), ("captured", "captured"), ("captured", "eager")):
                figures = {key[0]: seconds[key] for key in (("tinycnn", ours), ("torch", theirs)) if key in seconds}
                if ours == theirs or "torch" in figures:
                    report.add(row, ours if ours == theirs else f"{ours} (torch: {theirs})", "ms", figures)
            eager = {library: call for (library, way), call in calls.items() if way == "eager"}
            report.add(row, "eager, host", "ms", medians(eager, options, host_seconds))


def counts(report: Report, options: argparse.Namespace) -> None:
    from tinycnn.backend.gpu import cublas, launch

    batch = 2 if options.quick else 64
    for net in NETS:
        row, handle = f"{net}, batch {batch}", cublas.Handle
        with report.part(row):
            step = training_step("tinycnn", net, batch, "float32", "eager")
            products = [
                mock.patch.object(handle, name, autospec=True, side_effect=getattr(handle, name))
                for name in ("products", "product_and")
            ]
            with (
                mock.patch.object(launch, "kernel", wraps=launch.kernel) as kernels,
                products[0] as gemms, products[1] as with_epilogues,
            ):  # fmt: skip
                step()
            report.add(row, "kernels of its own", "", {"tinycnn": kernels.call_count})
            report.add(row, "cuBLAS products", "", {"tinycnn": gemms.call_count + with_epilogues.call_count})
        launched = report.each(f"{row}, all launches", partial(launches, net=net, batch=batch))
        report.add(row, "all launches", "", launched)
        report.add(row, "waits", "", dict.fromkeys(launched, 0))  # CUDA refuses to record a step that waits


def launches(library: str, net: str, batch: int) -> int:
    """How many kernels, copies and fills a training step launches: the nodes of its graph."""
    found: list[int] = []

    def make() -> Callable:
        step = maker(library, net, batch, recordable=True)()

        def step_and_count() -> None:
            step()
            found.append(recorded_nodes(library))

        return step_and_count

    replay(library, make)
    return found[-1]  # the last call is the recorded one


def recorded_nodes(library: str) -> int:
    """How many nodes the graph has that the current stream is recording. Asked of the driver while it records, because
    CuPy and torch may drop the graph once it can be launched."""
    if EMULATED:
        return len(getattr(emulator.machine.capture(), "operations", ()))
    cuda = libraries()["torch"].cuda if library == "torch" else backend.cupy().cuda
    stream = cuda.current_stream().cuda_stream if library == "torch" else cuda.get_current_stream().ptr
    driver, status, graph, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_void_p(), ctypes.c_size_t()
    asked = ctypes.c_void_p(stream), ctypes.byref(status), None, ctypes.byref(graph), None, None
    error = driver.cuStreamGetCaptureInfo_v2(*asked)
    if error or (graph and (error := driver.cuGraphGetNodes(graph, None, ctypes.byref(count)))):
        raise RuntimeError(f"the driver does not tell what is being recorded: error {error}")
    return count.value


def convolutions(report: Report, options: argparse.Namespace) -> None:
    """Each is recorded many times over, so that the host has no part in its time."""
    quick = [operators.Case("2→3, 3×3", 2, 2, 6, 3, 3, padding=1)]
    repeats = 2 if options.quick else 20
    for case, direction in itertools.product(quick if options.quick else operators.CASES, operators.DIRECTIONS):

        def recorded(library: str, case: operators.Case = case, direction: str = direction) -> Callable[[], Any]:
            lib = libraries()[library]
            return replay(library, lambda: times_over(operators.candidates(lib, case, DEVICE)[direction], repeats))

        part = f"{case.name}: {direction}"
        with report.part(part):
            seconds = medians(report.each(part, recorded), options)
            report.add(case.name, direction, "µs", {library: s / repeats for library, s in seconds.items()})


def bandwidth(report: Report, options: argparse.Namespace) -> None:
    """Of the package's kernels: the bytes that they have to move in a second, beside those of a copy on the device."""
    cupy = backend.cupy()
    size = (4, 2, 14) if options.quick else (256, 64, 56)
    for dtype in ("float32", "float16"):
        source = cupy.ones(1 << (12 if options.quick else 28), dtype)
        target = cupy.empty_like(source)

        def copy(target: Any = target, source: Any = source) -> None:
            target[...] = source

        for case in kernels.cases(*size, dtype):
            with report.part(f"{case.name}, {dtype}"):
                seconds = medians({"copy": copy, "kernel": case.call}, options)
                rate, of_copy = case.bytes / seconds["kernel"], 2 * source.nbytes / seconds["copy"]
                report.add(f"{case.name}, {dtype}", "GB/s", "", {"tinycnn": rate / 1e9})
                report.add(f"{case.name}, {dtype}", "a copy's", "", {"tinycnn": of_copy / 1e9})
                report.add(f"{case.name}, {dtype}", "share", "%", {"tinycnn": 100 * rate / of_copy})


def launching(report: Report, options: argparse.Namespace) -> None:
    """What a launch costs the host: of the same kernel, with the same arguments, by CuPy and by cuda.core."""
    from tinycnn.backend.gpu import geometry, launch

    cupy, dtype, repeats = backend.cupy(), np.dtype("float32"), 2 if options.quick else 100
    x, order = cupy.ones((8, 8), dtype), cupy.zeros(8, np.int64)
    walks = geometry.elementwise(x.shape, (x.strides, 4), (x.strides, 4))
    given = {
        "pointers and numbers": ("index", "add_runs", (x, x, order, order, np.int64(0)), 1),
        "pointers and a struct": ("elementwise", "relu_backward", (x, x, x, walks.packed), walks.width),
    }
    for row, (file, name, arguments, width) in given.items():
        ready = launch.kernel(file, name, dtype, width)
        calls: dict[str, Callable] = {"CuPy's RawKernel": partial(ready, (1,), (launch.THREADS,), arguments)}
        if width == 1:
            calls["with the way to it"] = partial(launch.run, file, name, dtype, (1,), arguments)
            with report.part("cuda.core"), suppress(ImportError):
                calls["cuda.core"] = by_cuda_core(file, name, dtype, arguments)
        else:  # cuda.core 1.2 passes no structs
            on_walks = partial(launch.launch_packs, file, name, dtype, walks, (x, x, x))
            calls["with the way to it"] = on_walks
        repeated = {column: times_over(call, repeats) for column, call in calls.items()}
        for column, seconds in medians(repeated, options, host_seconds).items():
            report.add(row, column, "µs", {"tinycnn": seconds / repeats})


def by_cuda_core(file: str, name: str, dtype: np.dtype, arguments: tuple) -> Callable[[], None]:
    """A launch of one block by NVIDIA's own package, in the default stream."""
    from cuda.core import Device, LaunchConfig, Program, ProgramOptions
    from cuda.core import launch as core_launch

    from tinycnn.backend.gpu import launch

    device = Device()
    device.set_current()
    options = ProgramOptions(std="c++17", arch=f"sm_{device.arch}")
    kernel = Program(launch._module(file, dtype, 1, None).code, "c++", options).compile("cubin").get_kernel(name)
    config = LaunchConfig(grid=1, block=launch.THREADS)
    passed = [argument if isinstance(argument, np.generic) else argument.data.ptr for argument in arguments]
    return partial(core_launch, device.default_stream, config, kernel, *passed)


def memory(report: Report, options: argparse.Namespace) -> None:
    batch = 2 if options.quick else 512
    for net, precision in (("LeNet-5", "float32"), ("wide net", "float32"), ("wide net", "bfloat16")):
        row = f"{net}, batch {batch:,}, {precision}"
        found = report.each(row, partial(bytes_of_a_step, net=net, batch=batch, precision=precision))
        for i, column in enumerate(("peak", "reserved")):
            report.add(row, column, "MB", {library: figures[i] for library, figures in found.items()})


def bytes_of_a_step(library: str, net: str, batch: int, precision: str) -> tuple[int, int]:
    """The most that three training steps occupy at a time, and what the library takes from the device for them; the net
    and its optimizer included."""
    cuda = libraries()[library].cuda
    for _ in range(2):  # the first time, workspaces are made that stay, and torch tries algorithms
        gc.collect()
        cuda.empty_cache()
        cuda.max_memory_allocated(), cuda.reset_peak_memory_stats()
        allocated, reserved = cuda.memory_allocated(), cuda.memory_reserved()
        times_over(maker(library, net, batch, precision)(), 3)()
        found = cuda.max_memory_allocated() - allocated, cuda.memory_reserved() - reserved
    return found


HOSTED = 32  # batches in an epoch of `loading`


def loading(report: Report, options: argparse.Namespace) -> None:
    """Eager steps on batches that lie on the device, that are copied ahead, and that are copied before their step."""
    batch = 2 if options.quick else 512
    for net in NETS:
        row = f"{net}, batch {batch:,}"
        with report.part(row):
            calls: dict[tuple[str, str], Callable] = {}
            for way in (places := ("on the device", "copied ahead", "copied before the step")):
                made = report.each(f"{row}, {way}", partial(epoch_of_batches, net=net, batch=batch, way=way))
                calls |= {(library, way): call for library, call in made.items()}
            seconds = medians(calls, options)
            for way in places:
                figures = {key[0]: value / HOSTED for key, value in seconds.items() if key[1] == way}
                report.add(row, way, "ms", figures)


def epoch_of_batches(library: str, net: str, batch: int, way: str) -> Callable[[], None]:
    """Steps on batches of the host. torch's memory is pinned, so that its host need not wait; its copies stand in the
    stream of the steps, as in the usual program."""
    lib, step = libraries()[library], training_step(library, net, batch, "float32", "eager")
    arrays = [nets.random_images((batch, 1, 28, 28), 10) for _ in range(HOSTED)]
    batches = [tuple(map(lib.tensor, pair)) for pair in arrays]
    if way == "on the device":
        batches = [(x.to(DEVICE), target.to(DEVICE)) for x, target in batches]
    ahead = way == "copied ahead"
    if ahead and library == "torch":
        batches = [(x.pin_memory(), target.pin_memory()) for x, target in batches]

    def epoch() -> None:
        for x, target in prefetch_to_device(batches, DEVICE) if ahead and library == "tinycnn" else batches:
            step(x.to(DEVICE, non_blocking=ahead), target.to(DEVICE, non_blocking=ahead))

    epoch()
    return epoch


EPOCHS, BATCH, LR, EVALUATIONS = 4, 128, 0.1, 8  # evaluations an epoch


def accuracy(report: Report, options: argparse.Namespace) -> None:
    target, seeds = (0.0, 1) if options.quick else (0.99, 10)
    parts = [nets.images(2 * BATCH), nets.images(8)]  # random ones, for --quick
    if not options.quick:
        sets = (MNIST(options.data_root, train=train) for train in (True, False))
        parts = [(part.images, part.targets.numpy()) for part in sets]

    def median_seconds(library: str, way: str) -> float:
        return statistics.median(seconds_to(target, library, parts, way, seed) for seed in range(seeds))

    for way in WAYS:
        figures = report.each(way, partial(median_seconds, way=way))
        report.add(f"LeNet-5, median of {seeds} seeds", f"{way} (torch: eager)", "s", figures)


def seconds_to(target: float, library: str, parts: list[tuple], way: str, seed: int) -> float:
    """The seconds of training, evaluations left out and recording included; infinite if the target is not reached."""
    lib = libraries()[library]
    lib.manual_seed(seed)
    (images, targets), (test_images, test_targets) = ([lib.tensor(x).to(DEVICE) for x in part] for part in parts)
    model, batches = nets.lenet(lib).to(DEVICE), len(images) // BATCH
    optimizer = lib.optim.SGD(model.parameters(), lr=LR, momentum=0.9, nesterov=True, weight_decay=5e-4)
    cycle = {"max_lr": LR, "total_steps": EPOCHS * batches, "cycle_momentum": False}
    scheduler = lib.optim.lr_scheduler.OneCycleLR(optimizer, **cycle)

    def train_step(indices: Any) -> None:
        loss = lib.nn.functional.cross_entropy(model(images[indices]), targets[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step = tinycnn.cuda.capture(train_step) if (library, way) == ("tinycnn", "captured") else train_step
    tinycnn.cuda.synchronize()
    seconds, resumed = 0.0, time.perf_counter()
    for _ in range(EPOCHS):
        order = lib.randperm(len(images), device=DEVICE)
        for i in range(batches):
            step(order[i * BATCH : (i + 1) * BATCH])
            scheduler.step()
            if (i + 1) % max(1, batches // EVALUATIONS) == 0:
                tinycnn.cuda.synchronize()
                seconds += time.perf_counter() - resumed
                with lib.no_grad():
                    correct = (model(test_images).argmax(1) == test_targets).sum().item()
                if correct >= target * len(test_images):
                    return seconds
                resumed = time.perf_counter()
    return math.inf


def start(report: Report, options: argparse.Namespace) -> None:
    found = report.each("first step", first_step_seconds)
    for i, column in enumerate(("nothing compiled before", "kernels compiled before")):
        report.add("LeNet-5, first step", column, "s", {library: seconds[i] for library, seconds in found.items()})


def first_step_seconds(library: str) -> list[float]:
    """From the start of a new process to the end of its first training step, imports included; and again."""
    code = "from tests import emulator; emulator.install(); emulator.cublas_path(); " if EMULATED else ""
    code += f"import nets, {library} as lib; nets.training_step(lib, nets.lenet, 64, 'SGD', 'cuda')().item()"
    with tempfile.TemporaryDirectory() as folder:
        variables = os.environ | {"CUPY_CACHE_DIR": f"{folder}/cupy", "CUDA_CACHE_PATH": f"{folder}/cuda"}
        variables["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
        run = partial(subprocess.run, [sys.executable, "-c", code], env=variables, check=True, timeout=600)
        return [timing.wall_seconds(run) for _ in range(2)]


SECTIONS = {measure.__name__: measure for measure in (
    steps, counts, convolutions, bandwidth, launching, memory, loading, accuracy, start
)}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=ROOT / "runs/gpu-benchmark", help="where to write, without .json and .md")
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    add("--data-root", type=Path, help="has MNIST/raw; default: $TINYCNN_DATA, or data")
    add("--quick", action="store_true", help="tiny sizes, to try the script; the figures mean nothing")
    options = parser.parse_args(arguments)
    options.rounds, options.turn = (1, 0.0) if options.quick else (15, 0.05)
    try:
        backend.device(DEVICE)
    except (ImportError, RuntimeError, ValueError) as error:
        print(f"nothing measured: {error}", file=sys.stderr)
        return 1
    warnings.filterwarnings("error", message="capture:")  # eager steps must not pass for replays
    report = Report(options.out, environment())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        report.section = name
        allow_tf32(False)
        with report.part("all that follows"):
            SECTIONS[name](report, options)
        print(report.table(report.section), flush=True)
        report.write()
        gc.collect()
    print(f"{len(report.failures)} parts failed; written to {options.out}.json and {options.out}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
