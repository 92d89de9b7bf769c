"""Every argument `dtype=`, with every dtype; numbers that a dtype cannot hold; what has no meaning for integers."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn
from tinycnn.nn import functional as F

DTYPES = ["bool_", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
FLOATS = [[0.5, -1.7, 2.2], [0.0, 3.9, 1.0]]
INTS = [[0, 200, 3], [7, 0, 100]]

# Calls with a dtype, of tinycnn and of torch; random values times 0, so that they agree.
CALLS = {
    "zeros": lambda lib, d: lib.zeros(2, dtype=d),
    "ones": lambda lib, d: lib.ones(2, dtype=d),
    "full": lambda lib, d: lib.full((2,), 2.7, dtype=d),
    "full of an int": lambda lib, d: lib.full((2,), 3, dtype=d),
    "full of a bool": lambda lib, d: lib.full((2,), True, dtype=d),
    "full out of range": lambda lib, d: lib.full((2,), 1e6, dtype=d),
    "full_like": lambda lib, d: lib.full_like(lib.tensor(FLOATS), 2.7, dtype=d),
    "full_like out of range": lambda lib, d: lib.full_like(lib.tensor(FLOATS), 1e6, dtype=d),
    "zeros_like": lambda lib, d: lib.zeros_like(lib.tensor(FLOATS), dtype=d),
    "arange": lambda lib, d: lib.arange(5, dtype=d),
    "arange of floats": lambda lib, d: lib.arange(0.5, 4.7, 1.3, dtype=d),
    "linspace": lambda lib, d: lib.linspace(0, 5, 4, dtype=d),
    "eye": lambda lib, d: lib.eye(3, dtype=d),
    "tensor of ints": lambda lib, d: lib.tensor([0, 1, 5], dtype=d),
    "rand": lambda lib, d: lib.rand(2, dtype=d) * 0,
    "randn": lambda lib, d: lib.randn(2, dtype=d) * 0,
    "randint": lambda lib, d: lib.randint(0, 2, (3,), dtype=d) * 0,
    "randint out of range": lambda lib, d: lib.randint(0, 300, (3,), dtype=d) * 0,
    "sum": lambda lib, d: lib.tensor(FLOATS).sum(dtype=d),
    "sum over a dim": lambda lib, d: lib.tensor(INTS).sum(0, dtype=d),
    "sum of booleans": lambda lib, d: (lib.tensor(INTS) > 0).sum(0, dtype=d),
    "sum of nothing": lambda lib, d: lib.zeros(0, 3).sum(0, dtype=d),
    "mean": lambda lib, d: lib.tensor(FLOATS).mean(0, dtype=d),
    "mean of ints": lambda lib, d: lib.tensor(INTS).mean(0, dtype=d),
    "to": lambda lib, d: lib.tensor(INTS).to(d),
    "type": lambda lib, d: lib.tensor(FLOATS[1]).type(d),
}


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_a_dtype_means_what_it_means_in_torch(name, dtype):
    import torch

    found = []
    for lib in (tinycnn, torch):
        try:
            y = CALLS[name](lib, getattr(lib, dtype.strip("_") if lib is torch else dtype))
            found.append((str(y.dtype).removeprefix("torch."), y.numpy().astype(np.float64).round(2).tolist()))
        except (TypeError, ValueError, RuntimeError) as error:
            found.append("refused" if str(error) else "an empty message")
    assert found[0] == found[1]


def test_a_sum_has_the_dtype_that_was_asked_for():
    x = tinycnn.tensor([[0.0, 0.0], [0.5, 0.0]])
    assert x.sum(0, dtype=bool).tolist() == [True, False]
    assert x.sum(dtype="int8").dtype == "int8"
    assert tinycnn.tensor([100, 100], dtype="int8").sum(dtype="int32").tolist() == 200


@pytest.mark.parametrize("call", [
    lambda: tinycnn.full((2,), 1e6, dtype="float16"),
    lambda: tinycnn.full((2,), float("nan"), dtype="int64"),
    lambda: tinycnn.full_like(tinycnn.ones(2), 300, dtype="uint8"),
    lambda: tinycnn.ones(2, dtype="int8").fill_(300.0),
    lambda: tinycnn.ones(2, dtype="int64").masked_fill(tinycnn.tensor([True, False]), 10**30),
    lambda: nn.init.constant_(tinycnn.ones(2, dtype="float16"), 1e6),
    lambda: tinycnn.tensor([300], dtype="uint8"),
    lambda: tinycnn.linspace(0, 1000, 3, dtype="int8"),
])  # fmt: skip
def test_a_number_that_the_dtype_cannot_hold_is_refused(call):
    with pytest.raises(ValueError, match=r"^(full|full_like|fill_|masked_fill|constant_|tensor|linspace): .* from "):
        call()


def test_an_element_is_assigned_a_number_that_its_dtype_holds():
    x = tinycnn.zeros(2, dtype="int8")
    with pytest.raises(ValueError, match="assignment: expected a value from -128 to 127 for int8, got 300"):
        x[0] = 300
    x[0], x[1] = 2.7, True
    assert x.tolist() == [2, 1]


# --- draws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_draws_lie_below_the_upper_end(dtype):
    """Of 2²² draws rounded to float16, a thousand would become 1."""
    tinycnn.manual_seed(0)
    x = tinycnn.rand(2**22, dtype=dtype)
    assert x.dtype == dtype
    assert float(x.min()) >= 0.0
    assert float(x.max()) < 1.0
    assert abs(float(x.double().mean()) - 0.5) < 1e-3
    for a, b in ((0.0, 1.0), (-3.0, -2.5), (1000.0, 1001.0)):
        drawn = nn.init.uniform_(tinycnn.empty(2**20, dtype=dtype), a, b)
        assert float(drawn.min()) >= a
        assert float(drawn.max()) < b


def test_a_truncated_normal_of_any_width_ends():
    for std in (1e-3, 1.0, 5.0, 1e12):
        drawn = nn.init.trunc_normal_(tinycnn.empty(10_000), 0.5, std, -2.0, 2.0)
        assert -2.0 <= float(drawn.min()) <= float(drawn.max()) <= 2.0
    assert abs(float(drawn.mean())) < 0.1  # of a wide one: nearly uniform
    assert abs(float(drawn.std()) - 4 / 12**0.5) < 0.05


# --- floating point only ----------------------------------------------------------------------------------

IMAGES = (1, 2, 4, 4)
FLOATING = {
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "unfold": lambda x: F.unfold(x, 2),
    "fold": lambda x: F.fold(x.reshape(1, 8, 4), (3, 3), 2),
    "interpolate": lambda x: F.interpolate(x, 3, mode="bilinear"),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer_norm": lambda x: F.layer_norm(x, 4),
    "group_norm": lambda x: F.group_norm(x, 1),
    "instance_norm": lambda x: F.instance_norm(x),
    "dropout": lambda x: F.dropout(x),
    "leaky_relu": lambda x: F.leaky_relu(x),
    "elu": lambda x: F.elu(x),
    "gelu": lambda x: F.gelu(x),
    "silu": lambda x: F.silu(x),
    "softplus": lambda x: F.softplus(x),
    "hardswish": lambda x: F.hardswish(x),
    "logsigmoid": lambda x: F.logsigmoid(x),
    "mse_loss": lambda x: F.mse_loss(x, x),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x, x),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x),
    "cross_entropy": lambda x: F.cross_entropy(x, x),
    "mean": lambda x: x.mean(),
    "var": lambda x: x.var(),
    "std": lambda x: x.std(),
    "norm": lambda x: x.norm(),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
}


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
@pytest.mark.parametrize("name", FLOATING)
def test_integers_are_refused_where_a_fraction_would_be_lost(name, dtype):
    with pytest.raises(TypeError, match=rf"^{name}: .*(floating-point|float)"):
        FLOATING[name](tinycnn.ones(*IMAGES, dtype=dtype))
    FLOATING[name](tinycnn.ones(*IMAGES) * 0.5)
