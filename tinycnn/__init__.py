"""tinycnn: a micro deep-learning framework whose every operator can be read on one screen."""

from tinycnn import backend, nn, optim
from tinycnn.anomaly import detect_anomaly
from tinycnn.autograd import Function, enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from tinycnn.backend import device, get_num_threads, manual_seed, set_num_threads
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
from tinycnn.gradcheck import gradcheck, gradgradcheck
from tinycnn.ops.elementwise import (
    abs,
    allclose,
    clamp,
    exp,
    floor_divide,
    isclose,
    log,
    masked_fill,
    maximum,
    minimum,
    pow,
    relu,
    remainder,
    sigmoid,
    sqrt,
    tanh,
    where,
)
from tinycnn.ops.linalg import matmul
from tinycnn.ops.order import argsort, cumsum, sort, topk
from tinycnn.ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    log_softmax,
    logsumexp,
    mean,
    norm,
    softmax,
    sum,
    var,
)
from tinycnn.ops.shape import (
    cat,
    flatten,
    gather,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    tril,
    triu,
    unsqueeze,
)
from tinycnn.ops.unary import ceil, cos, expm1, floor, log1p, round, sin
from tinycnn.serialization import load, save
from tinycnn.summary import summary
from tinycnn.tensor import Tensor

__version__ = "0.1.0"
