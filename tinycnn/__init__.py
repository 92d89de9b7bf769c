"""tinycnn: a micro deep-learning framework whose every operator can be read on one screen."""

import importlib
import sys
from math import e, inf, nan, pi
from types import ModuleType
from typing import TYPE_CHECKING, Any

from numpy import dtype, newaxis

from tinycnn import (
    amp,
    autograd,
    autograd_names,
    backend,
    creation,
    cuda,
    cuda_amp,
    custom_function,
    dtypes,
    linalg,
    nn,
    ops,
    optim,
    random,
    settings,
)
from tinycnn import memory_format as _formats
from tinycnn._absent import no_attribute as _no_attribute
from tinycnn._printing import set_printoptions
from tinycnn.autocast_mode import autocast, get_autocast_dtype, is_autocast_enabled
from tinycnn.autograd import (
    Function,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tinycnn.backend import device, get_num_threads, set_num_threads
from tinycnn.backend.precision import get_float32_matmul_precision, set_float32_matmul_precision
from tinycnn.creation import *
from tinycnn.dtypes import (
    bool_,
    can_cast,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)  # fmt: skip
from tinycnn.dtypes import bool_ as bool
from tinycnn.dtypes import float16 as half
from tinycnn.dtypes import float32 as float
from tinycnn.dtypes import float64 as double
from tinycnn.dtypes import int16 as short
from tinycnn.dtypes import int32 as int
from tinycnn.dtypes import int64 as long
from tinycnn.grad_mode import is_inference_mode_enabled
from tinycnn.memory_format import *
from tinycnn.nn.functional import (
    bilinear,
    celu,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_similarity,
    dropout,
    group_norm,
    layer_norm,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pairwise_distance,
    pixel_shuffle,
    pixel_unshuffle,
    prelu,
    selu,
    threshold,
)  # fmt: skip
from tinycnn.ops import (
    aliases,
    arithmetic,
    combine,
    copy,
    draw,
    functions,
    in_place,
    index,
    products,
    queries,
    rearrange,
    reduce,
    shape,
    statistics,
    unary,
)  # fmt: skip
from tinycnn.ops import (
    out as _out,
)
from tinycnn.ops.aliases import *
from tinycnn.ops.arithmetic import *
from tinycnn.ops.combine import *
from tinycnn.ops.copy import *
from tinycnn.ops.draw import *
from tinycnn.ops.functions import *
from tinycnn.ops.in_place import *
from tinycnn.ops.index import *
from tinycnn.ops.matmul import *
from tinycnn.ops.products import *
from tinycnn.ops.queries import *
from tinycnn.ops.rearrange import *
from tinycnn.ops.reduce import *
from tinycnn.ops.scatter import *
from tinycnn.ops.select import *
from tinycnn.ops.shape import *
from tinycnn.ops.sort import *
from tinycnn.ops.statistics import *
from tinycnn.ops.unary import *
from tinycnn.random import *
from tinycnn.serialization import load, save
from tinycnn.settings import *
from tinycnn.size import Size
from tinycnn.tensor import Tensor
from tinycnn.variable import is_inference

if TYPE_CHECKING:
    from tinycnn import (
        accelerator,
        backends,
        data,
        diagnostics,
        distributed,
        hub,
        interop,
        models,
        multiprocessing,
        teaching,
        utils,
        version,
    )
    from tinycnn import data as datasets
    from tinycnn.backend import precision
    from tinycnn.backends import mps
    from tinycnn.backends import mps as xpu
    from tinycnn.data import transforms
    from tinycnn.diagnostics import anomaly, inspection, shapes
    from tinycnn.diagnostics.anomaly import detect_anomaly
    from tinycnn.diagnostics.gradcheck import gradcheck, gradgradcheck
    from tinycnn.diagnostics.inspection import conv_parts, graph, graph_svg, record
    from tinycnn.diagnostics.summary import summary
    from tinycnn.dtypes import bfloat16
    from tinycnn.interop import onnx
    from tinycnn.interop.dlpack import from_dlpack
    from tinycnn.teaching import explain, grade, reference

__version__ = "0.1.0"

# Loaded when they are first used: modules, and functions by the module that defines them.
_MODULES = {
    "accelerator": "tinycnn.accelerator",
    "backends": "tinycnn.backends",
    "data": "tinycnn.data",
    "datasets": "tinycnn.data",
    "diagnostics": "tinycnn.diagnostics",
    "distributed": "tinycnn.distributed",
    "interop": "tinycnn.interop",
    "models": "tinycnn.models",
    "multiprocessing": "tinycnn.multiprocessing",
    "hub": "tinycnn.hub",
    "mps": "tinycnn.backends.mps",
    "teaching": "tinycnn.teaching",
    "transforms": "tinycnn.transforms",
    "utils": "tinycnn.utils",
    "version": "tinycnn.version",
    "xpu": "tinycnn.backends.mps",
    "anomaly": "tinycnn.diagnostics.anomaly",
    "inspection": "tinycnn.diagnostics.inspection",
    "onnx": "tinycnn.interop.onnx",
    "precision": "tinycnn.backend.precision",
    "shapes": "tinycnn.diagnostics.shapes",
    "explain": "tinycnn.teaching.explain",
    "grade": "tinycnn.teaching.grade",
    "reference": "tinycnn.teaching.reference",
}
_FUNCTIONS = {
    "detect_anomaly": "tinycnn.diagnostics.anomaly",
    "gradcheck": "tinycnn.diagnostics.gradcheck",
    "gradgradcheck": "tinycnn.diagnostics.gradcheck",
    "conv_parts": "tinycnn.diagnostics.inspection",
    "from_dlpack": "tinycnn.interop.dlpack",
    "graph": "tinycnn.diagnostics.inspection",
    "graph_svg": "tinycnn.diagnostics.inspection",
    "record": "tinycnn.diagnostics.inspection",
    "summary": "tinycnn.diagnostics.summary",
}

__all__ = [
    "Function", "Size", "Tensor", "enable_grad", "grad", "is_grad_enabled", "no_grad", "set_grad_enabled",
    "inference_mode", "is_inference", "is_inference_mode_enabled",
    "autocast", "get_autocast_dtype", "is_autocast_enabled", "get_float32_matmul_precision",
    "set_float32_matmul_precision",
    "device", "get_num_threads", "set_num_threads",
    "bfloat16", "bool_", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8",
    "bool", "double", "dtype", "float", "half", "int", "long", "short",
    "can_cast", "finfo", "get_default_dtype", "iinfo", "promote_types", "set_default_dtype", "set_printoptions",
    "e", "inf", "nan", "newaxis", "pi", "from_dlpack", "load", "save",
    "bilinear", "celu", "channel_shuffle", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "cosine_similarity", "dropout", "group_norm", "layer_norm", "max_pool1d", "max_pool2d",
    "max_pool3d", "pairwise_distance", "pixel_shuffle", "pixel_unshuffle", "prelu", "selu", "threshold",
    "amp", "autograd", "backend", "cuda", "linalg", "nn", "optim", "random",
    "accelerator", "backends", "datasets", "distributed", "hub", "mps", "multiprocessing", "transforms", "utils",
    "version", "xpu", "data", "diagnostics", "interop", "models", "teaching", "anomaly", "inspection", "onnx",
    "precision", "shapes", "explain", "grade", "reference",
    "detect_anomaly", "gradcheck", "gradgradcheck", "conv_parts", "graph", "graph_svg", "record", "summary",
]  # fmt: skip
__all__ += creation.__all__  # the rest is listed where it is defined
__all__ += aliases.__all__
__all__ += arithmetic.__all__
__all__ += combine.__all__
__all__ += copy.__all__
__all__ += in_place.__all__
__all__ += draw.__all__
__all__ += functions.__all__
__all__ += index.__all__
__all__ += ops.matmul.__all__
__all__ += products.__all__
__all__ += queries.__all__
__all__ += rearrange.__all__
__all__ += reduce.__all__
__all__ += ops.scatter.__all__
__all__ += ops.select.__all__
__all__ += shape.__all__
__all__ += ops.sort.__all__
__all__ += _formats.__all__
__all__ += random.__all__
__all__ += settings.__all__
__all__ += statistics.__all__
__all__ += unary.__all__


for _name in _out.NAMES:
    globals()[_name] = _out.takes_out(globals()[_name])

# torch's paths of modules that are elsewhere here, by the package in which they are looked for.
_layers = ModuleType("tinycnn.nn.modules", nn.__doc__)
vars(_layers).update({name: value for name, value in vars(nn).items() if not name.startswith("_")})
_ELSEWHERE: dict[ModuleType, dict[str, ModuleType]] = {
    cuda: {"amp": cuda_amp},
    nn: {"modules": _layers},
    _layers: {
        **{name: value for name, value in vars(nn).items() if isinstance(value, ModuleType)},
        "batchnorm": nn.norm, "instancenorm": nn.norm, "normalization": nn.norm, "pooling": nn.pool,
        "flatten": nn.shape, "fold": nn.shape, "pixelshuffle": nn.shape, "upsampling": nn.shape, "utils": nn.arguments,
    },
}  # fmt: skip
for _package, _paths in _ELSEWHERE.items():
    for _name, _module in _paths.items():
        setattr(_package, _name, _module)
        sys.modules[f"{_package.__name__}.{_name}"] = _module


def __getattr__(name: str) -> Any:
    if name == "bfloat16":
        return dtypes.bfloat16
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _FUNCTIONS:
        value = getattr(importlib.import_module(_FUNCTIONS[name]), name)
    else:
        raise _no_attribute("tinycnn", name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]


__path__.append(f"{__path__[0]}/_former_paths")
