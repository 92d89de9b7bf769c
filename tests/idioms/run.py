"""Runs an idiom with one library, describes what came as plain data, and compares two descriptions."""

from __future__ import annotations

import builtins
import collections
import contextlib
import copy
import io
import math
import os
import random
import tempfile
import warnings
import zlib
from typing import Any

import numpy as np

from tests.idioms.idiom import Idiom

FROM_DATA = (
    "DataLoader, Dataset, Subset, TensorDataset, random_split, ConcatDataset, RandomSampler, SequentialSampler, "
    "SubsetRandomSampler"
)

# What scripts write at their top, and what they write with tinycnn. The page shows the two side by side.
IMPORTS = [
    ("import torch", "import tinycnn as torch"),
    ("import torch.nn as nn", "import tinycnn.nn as nn"),
    ("import torch.nn.functional as F", "import tinycnn.nn.functional as F"),
    ("import torch.optim as optim", "import tinycnn.optim as optim"),
    ("from torch.optim import lr_scheduler", "from tinycnn.optim import lr_scheduler"),
    ("from torch.nn import init", "from tinycnn.nn import init"),
    ("from torch.nn.utils import clip_grad_norm_", "from tinycnn.nn.utils import clip_grad_norm_"),
    ("from torch.autograd import Variable", "from tinycnn.autograd import Variable"),
    ("from torch.utils.data import " + FROM_DATA, "from tinycnn.data import " + FROM_DATA),
    ("from torch.utils.checkpoint import checkpoint", "from tinycnn.utils.checkpoint import checkpoint"),
]  # fmt: skip
VISION = [
    ("from torchvision import datasets, transforms", "from tinycnn import datasets, transforms"),
    ("from torchvision.utils import make_grid, save_image", "from tinycnn.utils import make_grid, save_image"),
]


def namespace(lib: Any, vision: bool) -> dict[str, Any]:
    """The names an idiom starts with."""
    names: dict[str, Any] = {}
    theirs = lib.__name__ == "torch"
    for pair in IMPORTS + (VISION if vision else []):
        statement = pair[0 if theirs else 1]
        try:
            exec(statement, names)
        except ImportError:
            if theirs:
                raise
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> Any:
        return lib.from_numpy(rng.standard_normal(shape).astype(np.float32))

    def fixed(net: Any) -> Any:
        """`net` with fixed parameters and buffers, by their names."""
        with lib.no_grad():
            for name, value in sorted(net.state_dict().items()):
                if value.is_floating_point():
                    draw = np.random.default_rng(zlib.crc32(name.encode())).random(tuple(value.shape))
                    value.copy_(lib.from_numpy(np.asarray(draw - 0.3 * ("var" not in name), np.float32)))
        return net

    shared = [np, math, copy, io, os, random, collections]
    names |= {{"numpy": "np"}.get(module.__name__, module.__name__): module for module in shared}
    return names | {"numbers": numbers, "fixed": fixed}


def run(idiom: Idiom, lib: Any, code: str = "") -> dict[str, Any]:
    """What `code`, by default the idiom's, gives with `lib`: {"names": {name: description}, "printed": text}, or
    {"raises": [the classes of the error], "message": text}."""
    names = namespace(lib, idiom.vision)
    before = dict(names)
    np.random.seed(0)  # noqa: NPY002  # programs draw from that state
    random.seed(0)
    lib.manual_seed(0)
    printed = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(printed), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder),
            warnings.catch_warnings(),
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            exec(compile(code or idiom.code, idiom.name, "exec"), names)
            found = {
                name: described(value, lib, name in idiom.draws)
                for name, value in names.items()
                if not name.startswith("_") and not (name in before and value is before[name])
            }
    except Exception as error:
        classes = [c.__name__ for c in type(error).__mro__ if getattr(builtins, c.__name__, None) is c]
        return {"raises": classes[:-2], "message": str(error).split("\n")[0][:300]}
    finally:
        lib.set_grad_enabled(True)
        lib.set_default_dtype(lib.float32)
    return {"names": {name: value for name, value in found.items() if value is not None}, "printed": printed.getvalue()}


def _number(value: float, dtype: str) -> Any:
    return float(f"{value:.{12 if dtype == 'float64' else 7}g}") if math.isfinite(value) else str(value)


def described(value: Any, lib: Any, is_drawn: bool = False) -> Any:
    """A value as plain data, None where there is nothing to compare: functions, classes, modules of Python."""

    def again(part: Any) -> Any:
        return described(part, lib, is_drawn)

    if isinstance(value, lib.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        found: dict[str, Any] = {"dtype": dtype, "shape": list(value.shape), "requires_grad": value.requires_grad}
        if not is_drawn:
            found["values"] = [_number(x, dtype) if isinstance(x, float) else x for x in _flat(value)]
            if value.is_leaf and value.grad is not None:
                found["grad"] = again(value.grad)
        return found
    if isinstance(value, np.ndarray):
        values = [_number(x, str(value.dtype)) if isinstance(x, float) else x for x in value.ravel().tolist()]
        return {"array": str(value.dtype), "shape": list(value.shape), **({} if is_drawn else {"values": values})}
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return {type(value).__name__: str(value) if not is_drawn else ""}
    if isinstance(value, (float, np.floating)):
        return {"float": 0.0 if is_drawn else _number(float(value), "float32")}
    if isinstance(value, np.generic):
        return {str(value.dtype): str(value)}
    if isinstance(value, lib.nn.Module):
        state = {name: list(part.shape) for name, part in value.state_dict().items()}
        return {"module": type(value).__name__, "training": value.training, "state": state}
    if isinstance(value, np.dtype) or type(value).__name__ == "dtype":
        return {"dtype": str(value).removeprefix("torch.")}
    if type(value).__name__.lower() == "device":
        return {"device": str(value)}
    if isinstance(value, dict):
        return {"dict": {str(key): again(part) for key, part in value.items()}}
    if isinstance(value, (tuple, list, set, range)):
        kind = "tuple" if isinstance(value, tuple) else type(value).__name__
        return {kind: [again(part) for part in value]}
    return None


def _flat(tensor: Any) -> list[Any]:
    values = tensor.detach().cpu().tolist()
    for _ in range(len(tensor.shape) - 1):
        values = [x for part in values for x in part]
    return values if len(tensor.shape) else [values]


# Errors of the caller: a row of the table says so.
OR_RATHER = {"RuntimeError": {"ValueError", "TypeError"}, "IndexError": {"ValueError"}}

# Relative tolerance of values by dtype; what a float of Python has come through may be float32.
TOLERANCE = collections.defaultdict(lambda: 2e-5, float64=1e-9, float16=4e-3)


def difference(theirs: Any, ours: Any, path: str = "") -> str:
    """Where two descriptions part, as text; empty if they do not."""
    if isinstance(theirs, dict) and "raises" in theirs:
        if "raises" not in ours:
            return f"torch raises {theirs['raises'][0]} ({theirs['message']}), we do not"
        caught = bool(({theirs["raises"][0]} | OR_RATHER.get(theirs["raises"][0], set())) & set(ours["raises"]))
        return "" if caught else f"torch raises {theirs['raises'][0]}, we {ours['raises'][0]}: {ours['message']}"
    if isinstance(ours, dict) and "raises" in ours:
        return f"we raise {ours['raises'][0]}: {ours['message']}"
    if type(theirs) is not type(ours):
        return f"{path}: torch {theirs!r}, we {ours!r}"
    if isinstance(theirs, dict) and "values" in theirs and "shape" in theirs and "values" in ours:
        rest = [{k: v for k, v in side.items() if k != "values"} for side in (theirs, ours)]
        tolerance = TOLERANCE[theirs.get("dtype", theirs.get("array"))]
        return difference(*rest, path) or _of_values(theirs["values"], ours["values"], tolerance, path)
    if isinstance(theirs, dict):
        if theirs.keys() != ours.keys():
            return f"{path}: torch {str(theirs)[:200]}, we {str(ours)[:200]}"
        parts = (difference(theirs[key], ours[key], f"{path}.{key}" if path else key) for key in theirs)
        return next(filter(None, parts), "")
    if isinstance(theirs, list):
        if len(theirs) != len(ours):
            return f"{path}: torch {str(theirs)[:200]}, we {str(ours)[:200]}"
        parts = (difference(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(theirs, ours)))
        return next(filter(None, parts), "")
    if isinstance(theirs, float):
        return _of_values([theirs], [ours], 2e-5, path)
    return "" if theirs == ours else f"{path}: torch {theirs!r}, we {ours!r}"


def _of_values(theirs: list, ours: list, tolerance: float, path: str) -> str:
    if any(type(a) is not type(b) for a, b in zip(theirs, ours)) or len(theirs) != len(ours):
        return f"{path}: torch {str(theirs)[:150]}, we {str(ours)[:150]}"
    a, b = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
    scale = max(1.0, float(np.abs(a[np.isfinite(a)]).max(initial=0.0)))
    if np.allclose(a, b, rtol=tolerance, atol=tolerance * 0.1 * scale, equal_nan=True):
        return ""
    return f"values of {path}: torch {str(theirs)[:150]}, we {str(ours)[:150]}"


def checksum(idiom: Idiom) -> int:
    """Changes with the code of an idiom, so that what is recorded of it is known to be outdated."""
    return zlib.crc32(repr((idiom.code, idiom.draws)).encode())
