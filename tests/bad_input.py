"""Bad input: the calls of `tests/public_calls.py` with one argument spoilt, and what becomes of each.

    python -m tests.bad_input                 # all of them; with torch installed, compared with what it refuses
    python -m tests.bad_input --sample 3000 --seed 7
    python -m tests.bad_input --show raw      # the calls of one kind, with their errors

A spoilt call has one of these outcomes:

    accepted   it returned
    clean      it raised an error of tinycnn's own, of one line, which names the function or layer
    unnamed    the same, but the error names neither
    raw        an error that NumPy, Python or code below the checks raised, or one of several lines
    memory     a MemoryError that says how much was asked for; one that does not is raw
    hang       it did not end within `SECONDS`
    crash      the process died

The calls run in a child process with limited memory, which is replaced where it hangs or dies.
"""

from __future__ import annotations

import argparse
import ast
import collections
import functools
import importlib.util
import json
import linecache
import os
import random
import re
import resource
import select
import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tinycnn
from tests.public_calls import CALLS, Call, DType, Made, MadeFunction

SECONDS = 5.0
MEMORY = 4 * 2**30  # bytes that a child may ask for
OWN = str(Path(tinycnn.__file__).parent)
EXPECTED = (ValueError, TypeError, RuntimeError, IndexError, ZeroDivisionError, ImportError, AttributeError)

# Methods of these are not called on Tensors: `self` is no argument that is spoilt, and errors may name its class.
OWNERS = {
    "Module": ["Sequential", "Linear", "BatchNorm1d"], "Sequential": ["Sequential"], "Optimizer": ["SGD"],
    "SGD": ["SGD"], "ReduceLROnPlateau": ["ReduceLROnPlateau"],
}  # fmt: skip
# Where the error may begin with another name.
ALIASES = {
    "__getitem__": ["indexing"], "__setitem__": ["indexing", "assignment"], "Tensor": ["tensor"],
    "Parameter": ["tensor", "requires_grad"], "view": ["reshape"], "requires_grad_": ["requires_grad"],
    "Sequential": ["Linear"], "summary": ["Linear"], "Buffer": ["tensor"],
    "register_backward_hook": ["register_full_backward_hook"],
    # What is made of others, or becomes another.
    "upsample": ["interpolate"], "UpsamplingNearest2d": ["Upsample"], "normalize": ["norm"], "bilinear": ["linear"],
    "pairwise_distance": ["norm"], "triplet_margin_loss": ["pairwise_distance", "norm"],
    "softmin": ["softmax"], "gumbel_softmax": ["softmax", "amax"], "Fold": ["fold"],
    "cosine_similarity": ["normalize", "norm"], "multilabel_soft_margin_loss": ["logsigmoid", "sub"],
    "multi_margin_loss": ["gather"], "margin_ranking_loss": ["neg"],
    **{f"lp_pool{d}d": [f"avg_pool{d}d"] for d in (1, 2, 3)}, **{f"LPPool{d}d": [f"avg_pool{d}d"] for d in (1, 2, 3)},
    "PairwiseDistance": ["pairwise_distance", "norm"], "CosineSimilarity": ["cosine_similarity"],
    "set_default_device": ["device"], "Unflatten": ["unflatten"], "Unfold": ["unfold"], "DataParallel": ["Linear"],
    "SyncBatchNorm": ["BatchNorm"],
    "divide_": ["div"], "subtract_": ["sub"], "multiply_": ["mul"], "negative_": ["neg"], "absolute_": ["abs"],
    "clip_": ["clamp"],
    **{f"Lazy{name}": [name] for name in ["Linear", *(f"{kind}{d}d" for d in (1, 2, 3) for kind in (
        "Conv", "ConvTranspose", "BatchNorm", "InstanceNorm"))]},
}  # fmt: skip

# --- spoiling an argument -----------------------------------------------------------------------------------

WRONG_TYPES = {
    "None": None, "str": "text", "object": object(), "complex": 1j, "strings": ["a", "b"], "dict": {}, "bytes": b"ab",
    "function": len, "nested": [[1, 2], [3]], "set": {1, 2},
}  # fmt: skip
NUMBERS = {
    "0": 0, "-1": -1, "2": 2, "1e12": 10**12, "-1e12": -(10**12), "1e400": 10**400, "nan": float("nan"),
    "inf": float("inf"), "-inf": float("-inf"), "1.5": 1.5, "-0.5": -0.5, "True": True, "float32": np.float32(0.5),
    "int64": np.int64(1), "(1,)": (1,), "()": (), "[1, 2, 3, 4]": [1, 2, 3, 4],
    "Tensor": Made(lambda lib: lib.ones(())), "Tensors": Made(lambda lib: lib.ones(2)),
    "ints": Made(lambda lib: lib.ones((), dtype=lib.int64)),
}  # fmt: skip


def foreign(array: np.ndarray) -> Made:
    """A Tensor of another library: of torch for tinycnn where torch is installed, else an array."""

    def make(lib: Any) -> Any:
        if lib.__name__ == "tinycnn" and importlib.util.find_spec("torch") is not None:
            import torch

            return torch.tensor(array)
        return array

    return Made(make)


def spoilt_tensor(x: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {
        "array": Made(lambda lib: x), "foreign": foreign(x), "list": x.tolist(), "int": 1, "float": 0.5
    }  # fmt: skip
    for dtype in ("float64", "float16", "int64", "uint8", "bool"):
        found[dtype] = x.astype(dtype)
    found |= {"one dim more": x[None], "one dim behind": x[..., None], "no dims": np.zeros((), x.dtype)}
    found["all nan" if x.dtype.kind == "f" else "all -5"] = np.full_like(x, np.nan if x.dtype.kind == "f" else -5)
    found["huge"] = np.full_like(x, 1e30 if x.dtype.kind == "f" else 100)
    for i in range(x.ndim):
        found[f"less dim {i}"] = x.take(0, i)
        found[f"empty dim {i}"] = x.take([], i)
        found[f"longer dim {i}"] = np.concatenate([x, x.take([0], i)], i)
    found["empty"] = x.reshape(-1)[:0]
    return found


def spoilt_sequence(values: tuple | list) -> dict[str, Any]:
    kind = type(values)
    found: dict[str, Any] = {
        "empty": kind(), "longer": values + kind(values[:1] or [1]), "shorter": values[1:], "twice": values * 2,
        "number": 1, "float": 1.5, "iterator": Made(lambda lib: iter(values)),
    }
    for label, value in [("0", 0), ("-1", -1), ("1e12", 10**12), ("1.5", 1.5), ("str", "a"), ("None", None),
                         ("True", True), ("nan", float("nan")), ("pair", (1, 2)), ("1e400", 10**400)]:  # fmt: skip
        for i in {0, len(values) - 1} if values else ():
            found[f"{label} at {i}"] = kind([*values[:i], value, *values[i + 1 :]])
    return found


def spoilt(value: Any) -> dict[str, Any]:
    """What may be given in place of `value`, by label."""
    found = dict(WRONG_TYPES)
    if isinstance(value, np.ndarray):
        found |= spoilt_tensor(value)
    elif isinstance(value, bool):
        found |= {"1": 1, "1.5": 1.5, "0-d Tensor": Made(lambda lib: lib.ones(())), "()": ()}
    elif isinstance(value, (int, float)) or value is None:
        found |= NUMBERS
    elif isinstance(value, str):
        found |= {"empty": "", "upper": value.upper(), "number": 3, "True": True}
    elif isinstance(value, (tuple, list)):
        found |= spoilt_sequence(value)
    elif isinstance(value, DType):
        found |= {"complex64": DType("complex64"), "unknown": "float99", "number": 3, "str type": str}
        del found["None"], found["complex"]
    else:  # modules, optimizers, functions
        if isinstance(value, MadeFunction):
            del found["function"]
            return found | {"number": 3, "Tensor": Made(lambda lib: lib.ones(2)), "()": ()}
        found |= {"number": 3, "array": Made(lambda lib: np.ones(3)), "Tensor": Made(lambda lib: lib.ones(2)), "()": ()}
        found |= {"module": Made(lambda lib: lib.nn.Tanh()), "type": int}
    return found


@dataclass(frozen=True)
class Spoilt:
    call: Call
    argument: str  # its place or name
    label: str  # what it was replaced by

    @property
    def value(self) -> Any:
        """What was right."""
        kind, _, place = self.argument.partition(" ")
        if kind == "option":
            return self.call.options[place]
        return (self.call.arguments if kind == "argument" else self.call.inputs)[int(place)]

    def __str__(self) -> str:
        return f"{self.call.name}[{self.argument} = {self.label}]"

    def made(self) -> Call:
        """The call with the spoilt argument."""
        kind, _, place = self.argument.partition(" ")
        value = spoilt(self.value)[self.label]
        if kind == "option":
            return replace(self.call, options={**self.call.options, place: value})
        of = "arguments" if kind == "argument" else "inputs"
        values = list(getattr(self.call, of))
        values[int(place)] = value
        return replace(self.call, **{of: tuple(values)})


def spoilt_calls() -> list[Spoilt]:
    """Every call of the table with every replacement of each of its arguments. `self` of a method stays a Tensor or a
    module: another one is Python's business."""
    found = []
    for call in CALLS:
        is_method = call.name.rpartition(".")[0].rpartition(".")[2] in ("Tensor", *OWNERS)
        for kind, values in (("argument", call.arguments), ("input", call.inputs)):
            for i, value in enumerate(values):
                is_self = is_method and kind == "argument" and i == 0
                for label, replacement in spoilt(value).items():
                    if not is_self or (isinstance(value, np.ndarray) and isinstance(replacement, np.ndarray)):
                        found.append(Spoilt(call, f"{kind} {i}", label))
        for name, value in call.options.items():
            found += [Spoilt(call, f"option {name}", label) for label in spoilt(value)]
    return found


# --- judging what it did ------------------------------------------------------------------------------------


@functools.cache
def raise_lines(path: str) -> frozenset[int]:
    """The lines of a file that belong to `raise` statements."""
    tree = ast.parse("".join(linecache.getlines(path)))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    return frozenset(line for node in found for line in range(node.lineno, (node.end_lineno or 0) + 1))


def judged(spoilt_call: Spoilt, error: BaseException) -> str:
    """The outcome of a call that raised `error`."""
    traceback, frames = error.__traceback__, []
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    path, line = frames[-1]
    message = str(error)
    if isinstance(error, MemoryError):
        return "memory" if re.search(r"\d", message) else "raw"
    if isinstance(error, TypeError) and re.search(r"\(\) (takes|missing|got an unexpected)", message):
        return "clean"  # Python itself refused the number of arguments
    if not path.startswith(OWN) or not isinstance(error, EXPECTED) or "\n" in message or line not in raise_lines(path):
        return "raw"
    return "clean" if any(re.search(rf"\b{name}\b", message) for name in names_of(spoilt_call)) else "unnamed"


def names_of(spoilt_call: Spoilt) -> list[str]:
    """The names of which an error should have one: that of the function or layer; of a method also that of the class
    of `self`; the argument where it is a dtype or a device."""
    *_, owner, name = ["", *spoilt_call.call.name.split(".")]
    function = getattr(tinycnn if owner == "" else tinycnn.Tensor, name, None)
    first_name = getattr(function, "__name__", name)  # of one that has several
    names = [name, name.rstrip("_"), first_name, *OWNERS.get(owner, ()), *ALIASES.get(name, ())]
    value = spoilt_call.value
    if isinstance(value, DType) or (isinstance(value, str) and value == "cpu"):
        names += ["dtype", "device"]
    return names


def outcome(spoilt_call: Spoilt, lib: Any) -> tuple[str, str]:
    """What a call did, and its error."""
    try:
        spoilt_call.made().run(lib)
    except Exception as error:
        kind = judged(spoilt_call, error) if lib is tinycnn else "refused"
        return kind, f"{type(error).__name__}: {error}"[:500]
    finally:
        lib.set_default_dtype(lib.float32)
        lib.set_grad_enabled(True)
        lib.set_num_threads(1)
    return "accepted", ""


# --- running them -------------------------------------------------------------------------------------------


def run(calls: list[Spoilt], lib: Any) -> Iterator[tuple[Spoilt, str, str]]:
    """(call, outcome, error) for each call, from a child process that goes on behind one that hangs or crashes."""
    position = 0
    while position < len(calls):
        for kind, message in _from_child(calls[position:], lib):
            yield calls[position], kind, message
            position += 1


def _from_child(calls: list[Spoilt], lib: Any) -> Iterator[tuple[str, str]]:
    """Outcomes from one child, until it is done, hangs or dies."""
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work(calls, lib, write)
    os.close(write)
    count, buffer = 0, b""
    try:
        while count < len(calls):
            ready, _, _ = select.select([read], [], [], SECONDS)
            data = os.read(read, 2**16) if ready else b""
            if not data:
                yield ("crash" if ready else "hang"), ""
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                count += 1
                yield tuple(json.loads(line))
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work(calls: list[Spoilt], lib: Any, write: int) -> None:
    """What the child does: it writes one line for each call, and never returns."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("ignore")
    for spoilt_call in calls:
        os.write(write, json.dumps(outcome(spoilt_call, lib)).encode() + b"\n")
    os._exit(0)


def survey(calls: list[Spoilt], with_torch: bool) -> dict[str, list[tuple[str, str]]]:
    """The calls and their errors by outcome; with torch, those "accepted" that it refuses are listed as "accepted,
    torch refuses" too."""
    found: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    accepted = []
    for spoilt_call, kind, message in run(calls, tinycnn):
        found[kind].append((str(spoilt_call), message))
        if kind == "accepted" and spoilt_call.call.torch != "":
            accepted.append(spoilt_call)
    if with_torch:
        import torch

        torch.set_num_threads(1)
        for spoilt_call, kind, message in run(accepted, torch):
            if kind == "refused":
                found["accepted, torch refuses"].append((str(spoilt_call), message))
    return dict(found)


def sample_of(calls: list[Spoilt], count: int, seed: int) -> list[Spoilt]:
    return random.Random(seed).sample(calls, min(count, len(calls)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="how many of the calls, drawn at random; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="calls whose name contains this")
    parser.add_argument("--show", nargs="*", default=(), help="list the calls of these outcomes")
    parser.add_argument("--without-torch", action="store_true", help="do not ask what torch refuses")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args()
    calls = [c for c in spoilt_calls() if options.only in str(c)]
    if options.sample:
        calls = sample_of(calls, options.sample, options.seed)
    found = survey(calls, importlib.util.find_spec("torch") is not None and not options.without_torch)
    if options.json:
        print(json.dumps(found))
        return
    for kind in options.show:
        for name, message in found.get(kind, []):
            print(f"{kind}: {name} -> {message}")
    print(f"{len(calls)} calls: " + ", ".join(f"{len(found[kind])} {kind}" for kind in sorted(found)))


if __name__ == "__main__":
    main()
