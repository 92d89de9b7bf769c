"""tinycnn: a micro deep-learning framework whose every operator can be read on one screen."""

from tinycnn import amp, backend, cuda, nn, optim
from tinycnn.autograd import Function, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from tinycnn.backend import device, get_num_threads, manual_seed, set_num_threads
from tinycnn.backend.precision import autocast, get_float32_matmul_precision, set_float32_matmul_precision
from tinycnn.creation import (
    arange,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from tinycnn.diagnostics.anomaly import detect_anomaly
from tinycnn.diagnostics.gradcheck import gradcheck, gradgradcheck
from tinycnn.diagnostics.inspection import conv_parts, graph, graph_svg, record
from tinycnn.diagnostics.summary import summary
from tinycnn.dtypes import (
    bool_,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from tinycnn.functions import (
    abs,
    all,
    allclose,
    amax,
    amin,
    any,
    argmax,
    argmin,
    argsort,
    ceil,
    clamp,
    cos,
    cumsum,
    exp,
    expm1,
    flatten,
    floor,
    gather,
    isclose,
    log,
    log1p,
    log_softmax,
    logsumexp,
    masked_fill,
    mean,
    norm,
    permute,
    relu,
    reshape,
    round,
    sigmoid,
    sin,
    softmax,
    sort,
    split,
    sqrt,
    squeeze,
    sum,
    tanh,
    topk,
    transpose,
    tril,
    triu,
    unsqueeze,
    var,
)
from tinycnn.ops.arithmetic import floor_divide, maximum, minimum, pow, remainder, where
from tinycnn.ops.matmul import matmul
from tinycnn.ops.shape import cat, stack
from tinycnn.serialization import load, save
from tinycnn.tensor import Tensor

__version__ = "0.1.0"

__path__.append(f"{__path__[0]}/_former_paths")
