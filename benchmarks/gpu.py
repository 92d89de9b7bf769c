"""Every figure of a GPU in docs/performance.md, tinycnn beside torch where torch can use the GPU too.

One call measures all, in a few minutes, and writes them after every section to OUT.json and OUT.md. A part that fails
is recorded, and the others go on. Without a GPU it says what is missing and ends with code 1.

    python benchmarks/gpu.py [--out runs/gpu-benchmark] [--only steps memory] [--data-root DIR]

Steps are timed by events around many of them, on data that lie on the device, the libraries in turns, with the same
weights; medians are compared. TF32 is off in both unless a row says otherwise; cudnn.benchmark is on. torch's options
are otherwise its defaults.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = str(Path(__file__).resolve())
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

if os.environ.get("TINYCNN_EMULATE_GPU") == "1" and "cupy" not in sys.modules:  # to try the script without a GPU
    from tests import emulator

    emulator.install()
    os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())

import gpu_timing as gt  # noqa: E402
import nets  # noqa: E402
import numpy as np  # noqa: E402

import tinycnn  # noqa: E402
from tinycnn import backend  # noqa: E402
from tinycnn.backend.precision import autocast, set_float32_matmul_precision  # noqa: E402
from tinycnn.data import MNIST, RandomShift  # noqa: E402
from tinycnn.data.dataset import ArrayDataset  # noqa: E402


def tiny(nn: Any) -> Any:
    """In place of the nets for --quick."""
    return nn.Sequential(
        nn.Conv2d(1, 2, 5, stride=4), nn.ReLU(), nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 10)
    )


NETS = {"LeNet-5": nets.lenet, "wide net": nets.wide}

# --- training steps ---------------------------------------------------------------------------------------

PRECISIONS = ("float32", "TF32", "bfloat16")


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """float32 products are exact, or for "TF32" may be rounded, in both libraries."""

    def set_tf32(allowed: bool) -> None:
        set_float32_matmul_precision("high" if allowed else "highest")
        if torch := gt.torch():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed

    set_tf32(name == "TF32")
    try:
        yield
    finally:
        set_tf32(False)


@cache
def weights(net: Callable) -> dict[str, np.ndarray]:
    """The weights that a net starts from in either library."""
    tinycnn.manual_seed(0)
    return {name: value.numpy() for name, value in net(tinycnn.nn).state_dict().items()}


class Training:
    """A net, its optimizer and a batch on the device; the same in either library."""

    def __init__(self, lib: Any, net: Callable, batch: int, optimizer: str, precision: str, recordable: bool = False):
        self.lib, self.precision = lib, precision
        self.model = net(lib.nn)
        self.model.load_state_dict({name: lib.tensor(value) for name, value in weights(net).items()})
        self.model.to(gt.DEVICE)
        options = {"SGD": {"lr": 0.01, "momentum": 0.9}, "Adam": {"lr": 1e-3}}[optimizer]
        if recordable and optimizer == "Adam" and lib is not tinycnn:
            options["capturable"] = True  # torch counts Adam's steps on the host otherwise
        self.optimizer = getattr(lib.optim, optimizer)(self.model.parameters(), **options)
        self.images, self.targets = (lib.tensor(array).to(gt.DEVICE) for array in nets.images(batch))

    def mixed(self) -> Any:
        if self.precision != "bfloat16":
            return contextlib.nullcontext()
        if self.lib is tinycnn:
            return autocast("cuda", "bfloat16")
        return self.lib.autocast("cuda", dtype=self.lib.bfloat16)

    def step(self, images: Any, targets: Any) -> Any:
        self.optimizer.zero_grad()
        with self.mixed():
            loss = self.lib.nn.functional.cross_entropy(self.model(images), targets)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, np.ndarray]:
        return {name: value.cpu().numpy() for name, value in self.model.state_dict().items()}


def captured(step: Callable) -> Callable:
    """`step` for tinycnn's replays, or an error if it cannot be recorded: eager steps must not pass for replays."""
    recorded = tinycnn.cuda.capture(step)

    def call(*arguments: Any) -> Any:
        result = recorded(*arguments)
        if getattr(recorded, "reason", None):
            raise RuntimeError(f"the step was not recorded: {recorded.reason}")
        return result

    return call


def torch_replay(training: Training) -> Callable[[Any, Any], Any]:
    """A step by torch's own CUDA graphs, as its documentation does it; like tinycnn's, it copies the arguments."""
    torch = training.lib
    images, targets = training.images.clone(), training.targets.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            training.step(images, targets)
    torch.cuda.current_stream().wait_stream(side)
    training.optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = training.step(images, targets)

    def replay(own_images: Any, own_targets: Any) -> Any:
        images.copy_(own_images)
        targets.copy_(own_targets)
        graph.replay()
        return loss

    return replay


def candidates(report: gt.Report, net: Callable, batch: int, optimizer: str, name: str) -> dict[str, Callable]:
    """The step in four ways, fewer where torch is missing or one cannot be made."""
    made: dict[str, Callable] = {}
    losses = {}
    for library, lib in gt.libraries().items():
        for way in ("eager", "captured"):
            with report.part(f"{library} {way}, {name}"):
                training = Training(lib, net, batch, optimizer, name, recordable=way == "captured")
                call = training.step
                if way == "eager":
                    losses[library] = call(training.images, training.targets).detach().item()
                elif library == "tinycnn":
                    call = captured(training.step)
                else:
                    call = torch_replay(training)
                call = partial(call, training.images, training.targets)
                for _ in range(4):
                    call()
                made[f"{library} {way}"] = call
    if len(losses) == 2 and abs(losses["tinycnn"] / losses["torch"] - 1) > (1e-5 if name == "float32" else 1e-2):
        report.say(f"NOT THE SAME NET: the first losses are {losses}")
    return made


def compare_steps(
    report: gt.Report, options: argparse.Namespace, net: Callable, batch: int, optimizer: str, name: str, goals: dict
) -> None:
    with precision(name):
        made = candidates(report, net, batch, optimizer, name)
        if not made:
            return
        times = gt.in_turns(made, options.rounds, options.turn)
    for ours, theirs in (("eager", "eager"), ("captured", "captured"), ("captured", "eager")):
        pair = {"tinycnn": times.get(f"tinycnn {ours}"), "torch": times.get(f"torch {theirs}")}
        pair = {library: found for library, found in pair.items() if found}
        if not pair or (ours != theirs and len(pair) < 2):
            continue
        label = f"batch {batch}, {name}: {ours}" + (f" / torch {theirs}" if ours != theirs else "")
        walls = [f"{k} {1e3 * t.wall:.3f} ms, issued in {1e3 * t.issue:.3f}" for k, t in pair.items()]
        report.add(label, unit="ms", **{library: found.device for library, found in pair.items()},
                   goal=goals.get((ours, theirs)), note="wall: " + "; ".join(walls),
                   times={library: found._asdict() for library, found in pair.items()})  # fmt: skip


def lenet_steps(report: gt.Report, options: argparse.Namespace) -> None:
    for batch in (4,) if options.quick else (64, 512):
        goals = {("captured", "eager"): 0.4, ("captured", "captured"): 1.3}
        goals |= {("eager", "eager"): 1.3} if batch == 64 else {}
        with report.part(f"batch {batch}"):
            compare_steps(report, options, NETS["LeNet-5"], batch, "SGD", "float32", goals)


def wide_steps(report: gt.Report, options: argparse.Namespace) -> None:
    batch = 2 if options.quick else 512
    for name in PRECISIONS:
        goals = {("eager", "eager"): 1.5} if name == "float32" else {}
        with report.part(name):
            compare_steps(report, options, NETS["wide net"], batch, "Adam", name, goals)


# --- time to accuracy -------------------------------------------------------------------------------------


def load_data(options: argparse.Namespace) -> tuple[ArrayDataset, ArrayDataset] | None:
    """(training part, test part) on the device; random images for --quick; None where MNIST is not found."""
    if options.quick:
        rng = np.random.default_rng(0)
        sets = [ArrayDataset(rng.integers(0, 256, (n, 1, 28, 28), np.uint8), rng.integers(0, 10, n)) for n in (32, 16)]
    else:
        try:
            sets = [MNIST(options.data_root, train=train) for train in (True, False)]
        except FileNotFoundError:
            return None
    return sets[0].to(gt.DEVICE), sets[1].to(gt.DEVICE)


@tinycnn.no_grad()
def accuracy(model: Any, test_set: ArrayDataset) -> float:
    correct = 0
    for start in range(0, len(test_set), 2000):
        images, targets = (tinycnn.Tensor._wrap(a[start : start + 2000]) for a in (test_set.images, test_set.targets))
        correct += (model(images).argmax(1) == targets).sum().item()
    return correct / len(test_set)


def train_to_target(
    train_set: ArrayDataset, test_set: ArrayDataset, options: argparse.Namespace, seed: int, replayed: bool
) -> dict[str, Any]:
    """Trains until the target is reached or the schedule ends; the evaluations are not in `seconds`.

    The batches are drawn on the device, and gathered within the step: a replay needs their indices only.
    """
    gt.synchronize()
    resumed, seconds = time.perf_counter(), 0.0
    tinycnn.manual_seed(seed)
    batch, batches = options.batch_size, len(train_set) // options.batch_size
    if options.random_shift:
        train_set.transform = RandomShift(options.random_shift, fill=train_set.background)
    model = NETS["LeNet-5"](tinycnn.nn).to(gt.DEVICE)
    rule = {"lr": options.lr, "momentum": options.momentum, "weight_decay": options.weight_decay}
    optimizer = tinycnn.optim.SGD(model.parameters(), nesterov=options.momentum > 0, **rule)
    scheduler = tinycnn.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.lr, total_steps=options.epochs * batches, cycle_momentum=False
    )

    def train_step(indices: tinycnn.Tensor) -> tinycnn.Tensor:
        images, targets = train_set.__getitems__(indices._array)
        loss = tinycnn.nn.functional.cross_entropy(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = captured(train_step) if replayed else train_step
    every = max(1, batches // options.evaluations)
    steps, history = 0, []
    first_steps = None
    for _ in range(options.epochs):
        order = tinycnn.randperm(len(train_set), device=gt.DEVICE)
        for start in range(0, batches * batch, batch):
            step(tinycnn.Tensor._wrap(order._array[start : start + batch]))
            scheduler.step()
            steps += 1
            if steps == 4:  # two as they are, one recorded, one replayed: from here on, all is made
                gt.synchronize()
                first_steps = time.perf_counter() - resumed
            if steps % every == 0 or steps == options.epochs * batches:
                gt.synchronize()
                seconds += time.perf_counter() - resumed
                history.append((steps, accuracy(model, test_set)))
                if history[-1][1] >= options.target:
                    return _reached(seed, seconds, first_steps, history, True)
                resumed = time.perf_counter()
    return _reached(seed, seconds, first_steps, history, False)


def _reached(seed: int, seconds: float, first_steps: float | None, history: list, reached: bool) -> dict[str, Any]:
    return {"seed": seed, "reached": reached, "seconds": seconds, "first_steps": first_steps, "history": history}


def time_to_accuracy(report: gt.Report, options: argparse.Namespace) -> None:
    data = load_data(options)
    if data is None:
        report.say("skipped: MNIST was not found; set TINYCNN_DATA or --data-root to the folder that holds MNIST/raw")
        return
    target = f"{options.target:.1%}" if not options.quick else "a try on random images"
    for way, replayed, seeds in (("captured", True, options.seeds), ("eager", False, min(3, options.seeds))):
        with report.part(way):
            train_to_target(*data, options, seed=999, replayed=replayed)  # compiles, and fills the pools
            runs = [train_to_target(*data, options, seed, replayed) for seed in range(seeds)]
            reached = [run["seconds"] for run in runs if run["reached"]]
            note = f"{len(reached)} of {len(runs)} seeds reached it"
            note += f", best accuracies {[round(max(a for _, a in run['history']), 4) for run in runs]}"
            if reached:
                note += f"; min {min(reached):.3f} s, max {max(reached):.3f} s"
            mean = statistics.mean(reached) if reached else None
            report.add(f"seconds to {target}, warm, {way}, mean", mean, unit="s", note=note, runs=runs)
    with report.part("cold start"):
        marks = in_fresh_process(options, "cold-start")
        note = f"import {marks['import']:.2f} s, data {marks['data']:.2f} s, first four steps (compile, record) "
        note += f"{marks['run']['first_steps'] or 0:.2f} s, training with these {marks['run']['seconds']:.2f} s"
        note += "" if marks["run"]["reached"] else "; NOT reached"
        report.add(f"seconds to {target}, cold: a new process, no compiled kernels, evaluations included",
                   marks["total"], unit="s", note=note, marks=marks)  # fmt: skip


def cold_start(options: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own: the seconds from its start to the target."""
    imported = time.time()
    data = load_data(options)
    gt.synchronize()
    loaded = time.time()
    run = train_to_target(*data, options, seed=0, replayed=True)
    marks = {"import": imported - options.started, "data": loaded - imported, "total": time.time() - options.started}
    return marks | {"run": run}


def in_fresh_process(options: argparse.Namespace, what: str, *arguments: str) -> dict[str, Any]:
    """What this script's function for `what` returns in a new process, whose caches of compiled kernels are empty."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, SCRIPT, "--inner", what, "--started", str(time.time()), *arguments]
        for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay", "random_shift", "evaluations", "target"):
            command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        command += ["--quick"] if options.quick else []
        command += ["--data-root", str(options.data_root)] if options.data_root else []
        environment = os.environ | {"CUPY_CACHE_DIR": f"{folder}/cupy", "CUDA_CACHE_PATH": f"{folder}/cuda"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(f"the process for {what} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


# --- single operators -------------------------------------------------------------------------------------


def conv_cases(quick: bool) -> dict[str, tuple]:
    """(N, C, H, O, K, padding) by name: the convolutions of both nets."""
    small, large = 64, 512
    cases = {
        "LeNet 1→6, 5×5": (small, 1, 28, 6, 5, 2),
        "LeNet 6→16, 5×5": (small, 6, 14, 16, 5, 0),
        "wide 1→32, 5×5": (large, 1, 28, 32, 5, 0),
        "wide 32→32, 5×5": (large, 32, 24, 32, 5, 0),
        "wide 32→64, 3×3": (large, 32, 10, 64, 3, 0),
        "wide 64→64, 3×3": (large, 64, 8, 64, 3, 0),
    }
    return {"2→3, 3×3": (2, 2, 6, 3, 3, 1)} if quick else cases


def tensor(lib: Any, *shape: int, inner: bool = True) -> Any:
    """Random numbers that lie as inside a net: in the memory order in which the library's own convolutions write."""
    array = np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)
    x = lib.tensor(array).to(gt.DEVICE)
    if inner and len(shape) == 4 and shape[1] > 1:
        C = shape[1]
        x = lib.nn.functional.conv2d(x, lib.eye(C).reshape(C, C, 1, 1).to(gt.DEVICE)).detach()
    return x


def gradient(lib: Any) -> Callable:
    return lib.grad if hasattr(lib, "grad") else lib.autograd.grad


def no_grad(lib: Any, function: Callable) -> Callable:
    return lib.no_grad()(function)


def conv_work(lib: Any, which: str, case: tuple) -> Callable:
    N, C, H, O, K, padding = case
    x, w = tensor(lib, N, C, H, H).requires_grad_(), tensor(lib, O, C, K, K, inner=False).requires_grad_()
    forward = partial(lib.nn.functional.conv2d, x, w, padding=padding)
    y = forward()
    g = y.detach() * 0.5
    return {
        "forward": no_grad(lib, forward),
        "input gradient": lambda: gradient(lib)(y, x, g, retain_graph=True),
        "weight gradient": lambda: gradient(lib)(y, w, g, retain_graph=True),
    }[which]


def pool_work(lib: Any, which: str, shape: tuple) -> Callable:
    x = tensor(lib, *shape).requires_grad_()
    y = lib.nn.functional.max_pool2d(x, 2)
    g = y.detach() * 0.5
    backward = partial(gradient(lib), y, x, g, retain_graph=True)
    return backward if which == "backward" else no_grad(lib, partial(lib.nn.functional.max_pool2d, x, 2))


def norm_work(lib: Any, which: str, shape: tuple) -> Callable:
    layer, x = lib.nn.BatchNorm2d(shape[1]).to(gt.DEVICE), tensor(lib, *shape).requires_grad_()
    y = layer(x)
    g = y.detach() * 0.5
    inputs = [x, layer.weight, layer.bias]
    return (lambda: gradient(lib)(y, inputs, g, retain_graph=True)) if which == "backward" else partial(layer, x)


def loss_work(lib: Any, which: str, batch: int) -> Callable:
    x = tensor(lib, batch, 10).requires_grad_()
    targets = lib.tensor(nets.images(batch)[1]).to(gt.DEVICE)
    forward = partial(lib.nn.functional.cross_entropy, x, targets)
    loss = forward()
    return (lambda: gradient(lib)(loss, x, retain_graph=True)) if which == "backward" else no_grad(lib, forward)


def adam_work(lib: Any, which: str, batch: int) -> Callable:
    training = Training(lib, NETS["wide net"], batch, "Adam", "float32", recordable=True)
    training.step(training.images, training.targets)
    return training.optimizer.step


def single_operators(report: gt.Report, options: argparse.Namespace) -> None:
    """Device time, the host left out: each operator is recorded many times over, and the recording is replayed."""
    repeats = 2 if options.quick else 20
    small, large = (2, 2) if options.quick else (64, 512)
    lenet_shape, wide_shape = ((2, 3, 4, 4),) * 2 if options.quick else ((64, 6, 28, 28), (512, 32, 20, 20))
    works: dict[str, Callable] = {}
    for name, case in conv_cases(options.quick).items():
        for which in ("forward", "input gradient", "weight gradient"):
            works[f"conv {name}, batch {case[0]}: {which}"] = partial(conv_work, which=which, case=case)
    for which in ("forward", "backward"):
        works[f"max pool 2×2, LeNet's first, batch {small}: {which}"] = partial(
            pool_work, which=which, shape=lenet_shape)  # fmt: skip
        works[f"max pool 2×2, the wide net's first, batch {large}: {which}"] = partial(
            pool_work, which=which, shape=wide_shape)  # fmt: skip
        works[f"batch norm, the wide net's first, batch {large}: {which}"] = partial(
            norm_work, which=which, shape=wide_shape)  # fmt: skip
        works[f"cross-entropy of 10 classes, batch {large}: {which}"] = partial(loss_work, which=which, batch=large)
    works["Adam step of the wide net"] = partial(adam_work, which="step", batch=2)
    for name, make in works.items():
        with report.part(name):
            replays: dict[str, Callable] = {}
            for library, lib in gt.libraries().items():
                with report.part(f"{name}, {library}"):
                    replays[library] = gt.recorded(library, lambda make=make, lib=lib: times_over(make(lib), repeats))
            if not replays:
                continue
            times = gt.in_turns(replays, options.rounds, options.turn / 4)
            report.add(name, unit="µs", **{library: t.device / repeats for library, t in times.items()},
                       nodes={library: replay.nodes for library, replay in replays.items()})  # fmt: skip
        gc.collect()


def times_over(work: Callable, repeats: int) -> Callable:
    def run() -> Any:
        for _ in range(repeats):
            result = work()
        return result

    return run


# --- launches ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def counted_launches() -> Iterator[dict[str, int]]:
    """How often tinycnn's own kernels and cuBLAS are called in the with statement; CuPy's kernels are not seen."""
    from tinycnn.backend.gpu import kernels as gpu

    counts = {"own kernels": 0, "cuBLAS calls": 0}
    kernel, products = gpu.kernel, gpu.cublas.Handle.products

    def counting_kernel(*arguments: Any) -> Any:
        counts["own kernels"] += 1
        return kernel(*arguments)

    def counting_products(*arguments: Any) -> None:
        counts["cuBLAS calls"] += 1
        products(*arguments)

    gpu.kernel, gpu.cublas.Handle.products = counting_kernel, counting_products
    try:
        yield counts
    finally:
        gpu.kernel, gpu.cublas.Handle.products = kernel, products


def small_operators(lib: Any) -> dict[str, Callable]:
    """On tensors so small that only the host's part counts."""
    F = lib.nn.functional
    x, w, b = tensor(lib, 8, 8), tensor(lib, 8, 8), tensor(lib, 8)
    image, kernel = tensor(lib, 2, 3, 8, 8), tensor(lib, 4, 3, 3, 3, inner=False)
    targets = lib.tensor(np.arange(8)).to(gt.DEVICE)
    leaf = tensor(lib, 8, 8).requires_grad_()
    return {
        "x + y": no_grad(lib, lambda: x + w),
        "relu": no_grad(lib, lambda: F.relu(x)),
        "x + y, with a graph": lambda: leaf + w,
        "reshape": no_grad(lib, lambda: x.reshape(64)),
        "sum": no_grad(lib, lambda: x.sum()),
        "linear": no_grad(lib, lambda: F.linear(x, w, b)),
        "conv2d": no_grad(lib, lambda: F.conv2d(image, kernel)),
        "max_pool2d": no_grad(lib, lambda: F.max_pool2d(image, 2)),
        "cross_entropy": no_grad(lib, lambda: F.cross_entropy(x, targets)),
        "relu and its backward": lambda: gradient(lib)(F.relu(leaf).sum(), leaf),
    }


def launches(report: gt.Report, options: argparse.Namespace) -> None:
    calls, rounds = (3, 1) if options.quick else (200, 15)
    batch = 4 if options.quick else 64
    with report.part("a kernel's launch"):
        from tinycnn.backend.gpu import kernels as gpu

        kernel = gpu.kernel("random", "move_on", np.dtype("float32"))
        state = backend.cupy().zeros(2, np.uint64)
        arguments = (state, np.uint64(1))
        seconds = gt.issue_seconds(lambda: kernel((1,), (1,), arguments), calls, rounds)
        report.add("host time of one kernel launch", seconds, unit="µs")
    with report.part("an empty replay"):
        replays = {}
        for library, lib in gt.libraries().items():
            x = tensor(lib, 8, 8)
            replays[library] = gt.recorded(library, lambda x=x: lambda: x + x)
        report.add("host time to replay a graph of one kernel", unit="µs",
                   **{k: gt.issue_seconds(v, calls, rounds) for k, v in replays.items()})  # fmt: skip
    operators = {}
    for library, lib in gt.libraries().items():
        with report.part(f"small operators, {library}"):
            operators[library] = small_operators(lib)
    for name in operators.get("tinycnn", ()):
        with report.part(name):
            seconds = {library: gt.issue_seconds(made[name], calls, rounds) for library, made in operators.items()}
            report.add(f"host time of an operator: {name}", unit="µs", **seconds)

    with report.part("launches of a step"):
        nodes = {}
        for library, lib in gt.libraries().items():
            training = Training(lib, NETS["LeNet-5"], batch, "SGD", "float32", recordable=True)
            step = partial(training.step, training.images, training.targets)
            if library == "tinycnn":
                for _ in range(2):
                    step()
                with counted_launches() as counts:
                    step()
                report.add(f"calls of a LeNet-5 step, batch {batch}", sum(counts.values()),
                           note=", ".join(f"{n} {k}" for k, n in counts.items()) + "; CuPy's own not seen")  # fmt: skip
            with report.part(f"launches of a step, {library}"):
                nodes[library] = gt.recorded(library, lambda step=step: step).nodes
        totals = {library: sum(found.values()) for library, found in nodes.items() if found}
        if totals:
            report.add(f"launches of a LeNet-5 step, batch {batch}", **totals, nodes=nodes, note=str(nodes))
        else:
            report.say("the number of all launches: not to be had without NVIDIA's driver")
    with report.part("host-bound or device-bound"):
        made = candidates(report, NETS["LeNet-5"], batch, "SGD", "float32")
        times = gt.in_turns(made, options.rounds, options.turn)
        for library in gt.libraries():
            eager, replay = times[f"{library} eager"], times[f"{library} captured"]
            bound = "host-bound" if eager.wall > 1.2 * replay.device else "device-bound"
            report.add(f"LeNet-5 step, batch {batch}, {library} eager", f"{bound}",
                       note=f"issued in {1e6 * eager.issue:.0f} µs, done in {1e6 * eager.wall:.0f} µs; "
                            f"a replay takes the device {1e6 * replay.device:.0f} µs")  # fmt: skip


# --- memory -----------------------------------------------------------------------------------------------


def peak_memory(options: argparse.Namespace) -> dict[str, int]:
    """In a process of its own: the most bytes that arrays took up in a training step of the wide net."""
    lib = gt.libraries()[options.library]
    batch = 2 if options.quick else 512
    training = Training(lib, NETS["wide net"], batch, "Adam", options.precision)
    if lib is tinycnn:
        cupy = backend.cupy()
        pool, peak = cupy.get_default_memory_pool(), 0

        def malloc(size: int) -> Any:
            nonlocal peak
            memory = pool.malloc(size)
            peak = max(peak, pool.used_bytes())
            return memory

        cupy.cuda.set_allocator(malloc)
        for _ in range(3):
            training.step(training.images, training.targets)
        gt.synchronize()
        return {"peak": peak, "reserved": pool.total_bytes()}
    for _ in range(3):
        training.step(training.images, training.targets)
    lib.cuda.synchronize()
    return {"peak": lib.cuda.max_memory_allocated(), "reserved": lib.cuda.max_memory_reserved()}


def memory(report: gt.Report, options: argparse.Namespace) -> None:
    for name in ("float32", "bfloat16"):
        found = {}
        for library in gt.libraries():
            with report.part(f"peak, {library}, {name}"):
                found[library] = in_fresh_process(options, "memory", "--library", library, "--precision", name)
        if not found:
            continue
        batch = 2 if options.quick else 512
        report.add(f"peak of a training step of the wide net, batch {batch}, {name}", unit="MB",
                   **{library: figures["peak"] for library, figures in found.items()})  # fmt: skip
        report.add("  reserved for it", unit="MB", **{k: figures["reserved"] for k, figures in found.items()})
    count, pool = 6 if options.quick else 1000, backend.cupy().get_default_memory_pool()
    for way in ("eager", "captured"):
        with report.part(f"leaks, {way}"):
            training = Training(tinycnn, NETS["LeNet-5"], 2 if options.quick else 64, "SGD", "float32")
            step = training.step if way == "eager" else captured(training.step)
            growth = {}
            for _ in range(4 if options.quick else 20):
                step(training.images, training.targets)
            gc.collect()
            before = {"used": pool.used_bytes(), "reserved": pool.total_bytes()}
            for _ in range(count):
                step(training.images, training.targets)
            gt.synchronize()
            gc.collect()
            growth = {"used": pool.used_bytes() - before["used"], "reserved": pool.total_bytes() - before["reserved"]}
            report.add(f"growth of the pool over {count} {way} steps", growth["used"], unit="bytes", growth=growth,
                       note=f"reserved: {growth['reserved']} bytes")  # fmt: skip


# --- determinism ------------------------------------------------------------------------------------------


def determinism(report: gt.Report, options: argparse.Namespace) -> None:
    steps, batch = (4, 2) if options.quick else (50, 64)
    rng = np.random.default_rng(1)
    batches = [(rng.standard_normal((batch, 1, 28, 28), np.float32), rng.integers(0, 10, batch)) for _ in range(5)]

    def weights_after(net: Callable, optimizer: str, name: str, way: str) -> dict[str, np.ndarray]:
        training = Training(tinycnn, net, batch, optimizer, name)
        step = captured(training.step) if way == "captured" else training.step
        on_device = [tuple(tinycnn.tensor(array).to(gt.DEVICE) for array in pair) for pair in batches]
        for i in range(steps):
            step(*on_device[i % len(batches)])
        return training.state()

    for title, optimizer in (("LeNet-5", "SGD"), ("wide net", "Adam")):
        for name in ("float32", "bfloat16"):
            with report.part(f"{title}, {name}"), precision(name):
                first, second, replayed = (
                    weights_after(NETS[title], optimizer, name, way) for way in ("eager", "eager", "captured")
                )
                for what, other in (("two runs", second), ("captured and eager", replayed)):
                    same = all(np.array_equal(first[key], other[key]) for key in first)
                    largest = max(float(np.abs(first[key] - other[key]).max()) for key in first)
                    report.add(f"{title}, {optimizer}, {name}, {steps} steps: {what} bit-identical", same,
                               note=None if same else f"largest difference {largest:.2g}")  # fmt: skip


# --- the command line -------------------------------------------------------------------------------------

SECTIONS: dict[str, tuple[str, Callable]] = {
    "steps": ("Training step of LeNet-5", lenet_steps),
    "wide": ("Training step of the wide net", wide_steps),
    "accuracy": ("Time to accuracy on MNIST, LeNet-5", time_to_accuracy),
    "operators": ("Single operators, device time", single_operators),
    "launches": ("Launches", launches),
    "memory": ("Memory", memory),
    "determinism": ("Determinism", determinism),
}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=ROOT / "runs/gpu-benchmark", help="where to write, without .json and .md")
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    add("--quick", action="store_true", help="tiny sizes, to try the script; the figures mean nothing")
    add("--rounds", type=int, help="turns of each candidate; default 15")
    add("--turn", type=float, help="seconds that a turn takes; default 0.1")
    add("--data-root", type=Path, help="has MNIST/raw; default: $TINYCNN_DATA, or data")
    add("--seeds", type=int, help="trainings to the target; default 10")
    add("--target", type=float, help="share of the test images recognised; default 0.99")
    add("--epochs", type=int, help="length of the one-cycle schedule; default 4")
    add("--batch-size", type=int, help="default 128")
    add("--lr", type=float, default=0.1, help="the highest; default 0.1")
    add("--momentum", type=float, default=0.9, help="Nesterov's; default 0.9")
    add("--weight-decay", type=float, default=5e-4, help="default 5e-4")
    add("--random-shift", type=int, default=0, help="pixels; default 0")
    add("--evaluations", type=int, help="in an epoch; default 8")
    # Parts that need a process of their own call the script with these.
    for name, kind in (("--inner", str), ("--started", float), ("--library", str), ("--precision", str)):
        add(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    full = {"rounds": 15, "turn": 0.1, "seeds": 10, "target": 0.99, "epochs": 4, "batch_size": 128, "evaluations": 8}
    quick = {"rounds": 1, "turn": 0.0, "seeds": 1, "target": 0.0, "epochs": 1, "batch_size": 4, "evaluations": 1}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        backend.device(gt.DEVICE)
    except (ImportError, RuntimeError, ValueError) as error:
        print(f"nothing measured: {error}", file=sys.stderr)
        return 1
    if options.quick:
        NETS.update(dict.fromkeys(NETS, tiny))
    if options.inner == "cold-start":  # before torch is imported, which would count
        print(json.dumps(cold_start(options)))
        return 0
    if torch := gt.torch():
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if options.inner == "memory":
        print(json.dumps(peak_memory(options)))
        return 0
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    report = gt.Report(options.out, gt.environment(), settings)
    print(", ".join(f"{name} {value}" for name, value in report.environment.items()))
    if not torch:
        print("torch is not installed, or cannot use the GPU: there are no ratios")
    report.out.parent.mkdir(parents=True, exist_ok=True)
    report.write()
    for name in options.only:
        title, measure = SECTIONS[name]
        with report.section(title):
            measure(report, options)
        gc.collect()
    print(f"\n{len(report.failures)} parts failed; written to {report.out}.json and {report.out}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
