"""Mixed precision: which operators run in 16 bits under `autocast`, what is cast, how often, and what is kept."""

import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest

import tinycnn
from tests import layers, operators
from tests.lenet import batches, weights
from tinycnn import autocast_mode, nn, optim, tensor
from tinycnn.autocast_mode import FLOAT32, LISTS, LOWER, REFUSED, WIDEST
from tinycnn.autograd import Function
from tinycnn.models import LeNet5
from tinycnn.nn import functional as F
from tinycnn.ops.copy import Cast
from tinycnn.utils.checkpoint import checkpoint

pytest.importorskip("ml_dtypes")

BFLOAT16, FLOAT16, FLOAT32_, FLOAT64 = tinycnn.bfloat16, tinycnn.float16, tinycnn.float32, tinycnn.float64


def real(*shape, dtype="float32", seed=0):
    return tensor(np.random.default_rng(seed).standard_normal(shape), dtype=dtype)


@pytest.fixture
def casts(monkeypatch):
    """The shape and the new dtype of each cast."""
    found, forward = [], Cast.forward

    def counted(self, x):
        found.append((x.shape, self.dtype))
        return forward(self, x)

    monkeypatch.setattr(Cast, "forward", counted)
    return found


# --- the lists ----------------------------------------------------------------------------------------------------

SQUARE, VECTOR, BATCH, IMAGE = (3, 3), (3,), (2, 3, 3), (2, 3, 4, 4)
positive = lambda *shape: real(*shape).abs() + 0.5  # noqa: E731
# For each name of the lists, a call with tensors that are made by `of`.
CALLS = {
    "__rtruediv__": lambda of: 1.0 / of(*SQUARE),
    "addbmm": lambda of: tinycnn.addbmm(of(*SQUARE), of(*BATCH), of(*BATCH)),
    "addcdiv": lambda of: tinycnn.addcdiv(of(3), of(3), of(3)),
    "addcmul": lambda of: tinycnn.addcmul(of(3), of(3), of(3)),
    "addmm": lambda of: tinycnn.addmm(of(*SQUARE), of(*SQUARE), of(*SQUARE)),
    "addmv": lambda of: tinycnn.addmv(of(3), of(*SQUARE), of(3)),
    "addr": lambda of: tinycnn.addr(of(*SQUARE), of(3), of(3)),
    "atan2": lambda of: tinycnn.atan2(of(3), of(3)),
    "baddbmm": lambda of: tinycnn.baddbmm(of(*BATCH), of(*BATCH), of(*BATCH)),
    "bilinear": lambda of: F.bilinear(of(2, 3), of(2, 3), of(4, 3, 3)),
    "binary_cross_entropy": lambda of: F.binary_cross_entropy(of(3).sigmoid(), of(3).sigmoid()),
    "binary_cross_entropy_with_logits": lambda of: F.binary_cross_entropy_with_logits(of(3), of(3)),
    "bmm": lambda of: tinycnn.bmm(of(*BATCH), of(*BATCH)),
    "cat": lambda of: tinycnn.cat([of(3), of(3)]),
    "cdist": lambda of: tinycnn.cdist(of(*SQUARE), of(*SQUARE)),
    "cosine_embedding_loss": lambda of: F.cosine_embedding_loss(of(2, 3), of(2, 3), tensor([1, -1])),
    "cosine_similarity": lambda of: F.cosine_similarity(of(2, 3), of(2, 3)),
    "cross": lambda of: tinycnn.cross(of(2, 3), of(2, 3), dim=1),
    "cross_entropy": lambda of: F.cross_entropy(of(2, 3), tensor([0, 2])),
    "cumprod": lambda of: of(3).cumprod(0),
    "cumsum": lambda of: of(3).cumsum(0),
    "dist": lambda of: tinycnn.dist(of(3), of(3)),
    "dot": lambda of: tinycnn.dot(of(3), of(3)),
    "gaussian_nll_loss": lambda of: F.gaussian_nll_loss(of(3), of(3), of(3).abs() + 0.5),
    "grid_sample": lambda of: F.grid_sample(of(*IMAGE), of(2, 2, 2, 2), align_corners=False),
    "group_norm": lambda of: F.group_norm(of(*IMAGE), 3, of(3), of(3)),
    "hinge_embedding_loss": lambda of: F.hinge_embedding_loss(of(2), tensor([1, -1])),
    "huber_loss": lambda of: F.huber_loss(of(3), of(3)),
    "index_copy": lambda of: of(3).index_copy(0, tensor([0]), of(1)),
    "index_put": lambda of: of(3).index_put((tensor([0]),), of(1)),
    "interpolate": lambda of: F.interpolate(of(*IMAGE), scale_factor=2, mode="bilinear"),
    "kl_div": lambda of: F.kl_div(of(2, 3), of(2, 3).abs(), reduction="sum"),
    "l1_loss": lambda of: F.l1_loss(of(3), of(3)),
    "layer_norm": lambda of: F.layer_norm(of(2, 3), (3,), of(3), of(3)),
    "linear": lambda of: F.linear(of(2, 3), of(4, 3), of(4)),
    "local_response_norm": lambda of: F.local_response_norm(of(*IMAGE), 2),
    "log_softmax": lambda of: of(3).log_softmax(0),
    "logsumexp": lambda of: of(3).logsumexp(0),
    "margin_ranking_loss": lambda of: F.margin_ranking_loss(of(2), of(2), tensor([1, -1])),
    "matmul": lambda of: of(*SQUARE) @ of(*SQUARE),
    "matrix_norm": lambda of: tinycnn.linalg.matrix_norm(of(*SQUARE)),
    "mm": lambda of: tinycnn.mm(of(*SQUARE), of(*SQUARE)),
    "mse_loss": lambda of: F.mse_loss(of(3), of(3)),
    "multi_margin_loss": lambda of: F.multi_margin_loss(of(2, 3), tensor([0, 2])),
    "multilabel_margin_loss": lambda of: F.multilabel_margin_loss(of(1, 3), tensor([[0, -1, -1]])),
    "multilabel_soft_margin_loss": lambda of: F.multilabel_soft_margin_loss(of(2, 3), of(2, 3).abs()),
    "mv": lambda of: tinycnn.mv(of(*SQUARE), of(3)),
    "nll_loss": lambda of: F.nll_loss(of(2, 3), tensor([0, 2])),
    "norm": lambda of: of(3).norm(),
    "normalize": lambda of: F.normalize(of(2, 3)),
    "pairwise_distance": lambda of: F.pairwise_distance(of(2, 3), of(2, 3)),
    "poisson_nll_loss": lambda of: F.poisson_nll_loss(of(3), of(3)),
    "pow": lambda of: of(3) ** 2,
    "prelu": lambda of: F.prelu(of(3), of(1)),
    "prod": lambda of: of(3).prod(),
    "quantile": lambda of: of(3).quantile(0.5),
    "scatter_add": lambda of: of(3).scatter_add(0, tensor([0]), of(1)),
    "smooth_l1_loss": lambda of: F.smooth_l1_loss(of(3), of(3)),
    "soft_margin_loss": lambda of: F.soft_margin_loss(of(2), tensor([1, -1])),
    "softmax": lambda of: of(3).softmax(0),
    "softmin": lambda of: F.softmin(of(3), 0),
    "softplus": lambda of: F.softplus(of(3)),
    "stack": lambda of: tinycnn.stack([of(3), of(3)]),
    "sum": lambda of: of(3).sum(),
    "tensordot": lambda of: tinycnn.tensordot(of(*SQUARE), of(*SQUARE), 1),
    "trace": lambda of: of(*SQUARE).trace(),
    "triplet_margin_loss": lambda of: F.triplet_margin_loss(of(2, 3), of(2, 3), of(2, 3)),
    "vector_norm": lambda of: tinycnn.linalg.vector_norm(of(3)),
} | {
    name: lambda of, name=name: getattr(tinycnn, name)(of(3))
    for name in ("acos", "asin", "cosh", "exp", "expm1", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sinh",
                 "tan")
} | {
    f"conv{d}d": lambda of, d=d: getattr(F, f"conv{d}d")(of(2, 3, *[4] * d), of(5, 3, *[2] * d), of(5))
    for d in (1, 2, 3)
} | {
    f"conv_transpose{d}d":
    lambda of, d=d: getattr(F, f"conv_transpose{d}d")(of(2, 3, *[4] * d), of(3, 5, *[2] * d), of(5))
    for d in (1, 2, 3)
}  # fmt: skip


def result_of(name, device_type, given, monkeypatch):
    """The dtype of a listed operator's result of these dtypes, in turns, by the list of that type of device."""
    monkeypatch.setitem(LISTS, "cpu", LISTS[device_type])  # so that tensors of the CPU have either list
    left = []

    def of(*shape):
        left[:] = left or list(given)
        return (real(*shape).abs() / 4 + 0.1).to(left.pop(0))

    with np.errstate(all="ignore"), tinycnn.autocast("cpu", BFLOAT16):
        return CALLS[name](of).dtype


@pytest.mark.parametrize("device_type", ["cuda", "cpu"])
def test_every_name_of_the_lists_is_tried(device_type):
    assert LISTS[device_type].keys() <= CALLS.keys()


@pytest.mark.parametrize("device_type, name", [(kind, name) for kind, names in LISTS.items() for name in names])
def test_dtypes_by_the_lists(device_type, name, monkeypatch):
    precision = LISTS[device_type][name]
    if precision is REFUSED:
        with pytest.raises(RuntimeError, match=rf"^{name}: unsafe under autocast, .* use {name}_with_logits"):
            result_of(name, device_type, [FLOAT32_], monkeypatch)
        return

    def result(*given):
        return result_of(name, device_type, given, monkeypatch)

    assert result(FLOAT32_) == (BFLOAT16 if precision is LOWER else FLOAT32_)
    assert result(BFLOAT16) == (FLOAT32_ if precision is FLOAT32 else BFLOAT16)
    assert result(FLOAT64) == FLOAT64
    if precision is WIDEST:
        assert result(BFLOAT16, FLOAT32_) == result(FLOAT32_, BFLOAT16) == FLOAT32_
    if precision is LOWER:
        assert result(BFLOAT16, FLOAT32_) == result(FLOAT32_, BFLOAT16) == BFLOAT16


@pytest.mark.parametrize("function", [
    lambda x: x.square(), lambda x: x.sigmoid().logit(), lambda x: tinycnn.xlogy(x, x), F.logsigmoid, F.gelu, F.silu,
    F.elu, lambda x: x.nansum(), lambda x: x.nanmean(), lambda x: x.mean(), lambda x: x.var(), lambda x: x.sigmoid(),
    lambda x: F.batch_norm(x[None], tinycnn.zeros(3), tinycnn.ones(3)), lambda x: F.max_pool1d(x[None, None], 2),
    lambda x: F.avg_pool1d(x[None, None], 2), lambda x: x + x, lambda x: x.relu(), lambda x: F.dropout(x, 0.5),
])  # fmt: skip
def test_what_is_on_no_list_keeps_its_dtype(function, monkeypatch):
    """Also where it is made of what is on one."""
    monkeypatch.setitem(LISTS, "cpu", LISTS["cuda"])
    with tinycnn.autocast("cpu", FLOAT16), np.errstate(all="ignore"):
        assert function(positive(3).half()).dtype == FLOAT16


def test_the_operators_on_the_lists_are_what_the_names_say():
    """A Function is looked up by the name that errors have for it: none may be called like something else."""

    def below(kind):
        return {kind, *(lower for child in kind.__subclasses__() for lower in below(child))}

    names = {name for names in LISTS.values() for name in names}
    found = {kind._called for kind in below(Function) if kind.__module__.startswith("tinycnn.")} & names
    assert found == {
        "atan2", "binary_cross_entropy", "cat", "cross_entropy", "exp", "expm1", "linear", "log", "log1p",
        "log_softmax", "pow", "rsqrt", "softmax", "softplus", "sum",
    }  # fmt: skip


# What torch does on a CPU in float32 for want of other code, and einsum, which in torch makes some products otherwise.
OTHERWISE = ("pad/", "local_response_norm", "lp_pool", "max_unpool", "einsum", "MaxPool3d", "AvgPool3d", "Unpool",
             "ReflectionPad", "ReplicationPad", "LPPool3d", "LocalResponseNorm", "adaptive", "losses/of_margins",
             "AdaptiveMaxPool3d", "MultiLabelSoftMarginLoss")  # fmt: skip


def dtypes_of_operator(case, lib, dtype):
    inputs = [lib.tensor(np.array(a)) for a in case.inputs()]
    inputs = [x.to(getattr(lib, dtype)).detach() if x.is_floating_point() else x for x in inputs]
    with lib.autocast("cpu", dtype=lib.bfloat16):
        return [str(y.dtype).removeprefix("torch.") for y in case.run(lib, inputs)]


def dtypes_of_layer(case, lib, dtype):
    """Of the output, the gradient of the input and those of the parameters, which are float32."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    module = case.build(lib.nn).float()
    x = lib.tensor(rng.standard_normal(case.input)).to(getattr(lib, dtype)).detach().requires_grad_()
    others = [lib.tensor(sampler(rng)) for sampler in case.others]
    others = [y.to(x.dtype) if y.is_floating_point() else y for y in others]
    with lib.autocast("cpu", dtype=lib.bfloat16):
        y = module(x, *others)
    y.sum().backward()
    return [str(z.dtype).removeprefix("torch.") for z in (y, x.grad, *[p.grad for p in module.parameters()])]


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("of, case", [
    *[pytest.param(dtypes_of_operator, case, id=f"operator {case.name}") for case in operators.CASES],
    *[pytest.param(dtypes_of_layer, case, id=f"layer {case.name}") for case in layers.CASES],
])  # fmt: skip
def test_dtypes_are_torchs_on_a_cpu(of, case, dtype):
    import torch

    if (dtype == "bfloat16" and any(word in case.name for word in OTHERWISE)) or "einsum" in case.name:
        pytest.skip("runs in the dtype of its input here")
    if of is dtypes_of_layer and dtype == "float64":
        return
    try:
        theirs = of(case, torch, dtype)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as refused:
        pytest.skip(f"torch: {refused!s:.60}")
    assert of(case, tinycnn, dtype) == theirs


# --- casts --------------------------------------------------------------------------------------------------------


def test_parameters_are_cast_once(casts):
    net, x = nn.Linear(3, 3), real(2, 3)
    with tinycnn.autocast("cpu"):
        net(net(x))
        with tinycnn.autocast("cpu"):
            net(x.bfloat16())
        with tinycnn.autocast("cpu", enabled=False):
            net(x)
    weights = [shape for shape, dtype in casts if shape in ((3, 3), (3,))]
    assert sorted(weights) == [(3,), (3, 3)]
    casts.clear()
    with tinycnn.autocast("cpu"):
        net(x)
        with tinycnn.no_grad():
            net.weight.mul_(2)  # the cast is outdated
        expected = F.linear(x.bfloat16(), net.weight.bfloat16(), net.bias.bfloat16())
        casts.clear()
        assert (net(x) == expected).all()
    assert ((3, 3), BFLOAT16) in casts
    assert ((3,), BFLOAT16) not in casts


def test_what_is_cast_without_gradients_is_not_kept_for_those_with():
    net, x = nn.Linear(3, 3), real(2, 3)
    with tinycnn.autocast("cpu"):
        with tinycnn.no_grad():
            net(x)
        net(x).sum().backward()
    assert net.weight.grad is not None
    assert net.weight.grad.dtype == FLOAT32_


def test_without_the_cache_each_use_is_cast(casts):
    net, x = nn.Linear(3, 3, bias=False), real(2, 3)
    with tinycnn.autocast("cpu", cache_enabled=False):
        net(net(x))
    assert casts.count(((3, 3), BFLOAT16)) == 2


def test_gradients_have_the_dtypes_of_the_forward_pass():
    """Also of a backward pass inside of the block."""
    for inside in (False, True):
        net, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), real(5, 3)
        seen = []
        with tinycnn.autocast("cpu"):
            y = net[1](net[0](x))
            y.register_hook(lambda g, seen=seen: seen.append(g.dtype))
            loss = net[2](y).float().sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        assert seen == [BFLOAT16]
        assert {p.grad.dtype for p in net.parameters()} == {FLOAT32_}


def test_float64_is_left_alone():
    x = real(2, 3, dtype="float64")
    with tinycnn.autocast("cpu"):
        assert (x @ x.t()).dtype == FLOAT64
        assert F.mse_loss(x, x).dtype == FLOAT64


def kept(loss):
    """The bytes of the activations that the graph of `loss` keeps: what nodes hold that is no leaf."""
    found, left, seen = {}, [loss.grad_fn], set()
    while left:
        node = left.pop()
        if not isinstance(node, Function) or node in seen:
            continue
        seen.add(node)
        left += node.edges
        saved = node.saved if isinstance(node.saved, tuple) else (node.saved,)
        for x in (*(node._inputs or ()), node._output, *saved):
            array = getattr(x, "_array", x)
            if not (isinstance(x, tinycnn.Tensor) and x.is_leaf) and hasattr(array, "nbytes"):
                owner = array if array.base is None or not hasattr(array.base, "nbytes") else array.base
                found[id(owner)] = owner.nbytes
    return sum(found.values())


def small_net():
    tinycnn.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1),
        nn.BatchNorm2d(12), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(192, 10),
    )  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_activations_take_half_the_memory(device, casts):
    net, x = small_net().to(device), real(32, 1, 16, 16).to(device)
    target = tensor(np.arange(32) % 10).to(device)
    of = {}
    for dtype in (None, FLOAT16, BFLOAT16):
        with tinycnn.autocast(device, dtype, enabled=dtype is not None):
            casts.clear()
            loss = F.cross_entropy(net(x), target)
            of[dtype] = kept(loss)
        if dtype is not None:
            shapes = {tuple(p.shape) for p in net.parameters()}
            # Weights and biases of the three layers with products, once.
            assert sum(to == dtype and shape in shapes for shape, to in casts) == 6
        loss.backward()
        assert {p.grad.dtype for p in net.parameters()} == {FLOAT32_}
    assert of[FLOAT16] == of[BFLOAT16]
    assert 0.48 < of[BFLOAT16] / of[None] < 0.56


# --- training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)
def test_lenet_learns_as_well(dtype):
    """The images of `tests/lenet.py`, of which the classes can be told."""
    right = {}
    for to in (None, dtype):
        net = LeNet5(image_size=28)
        net.load_state_dict({name: tensor(value, dtype="float32") for name, value in weights(net).items()})
        optimizer = optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
        scaler, hits = tinycnn.amp.GradScaler("cpu", 1024.0, enabled=to == FLOAT16), []
        for images, labels in zip(*batches()):
            optimizer.zero_grad()
            target = tensor(labels)
            with tinycnn.autocast("cpu", to, enabled=to is not None):
                scores = net(tensor(images, dtype="float32"))
                loss = F.cross_entropy(scores, target)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            hits.append((scores.argmax(1) == target).float().mean().item())
        right[to] = np.mean(hits[-20:])
    assert right[None] > 0.9
    assert abs(right[dtype] - right[None]) < 0.03


def test_a_checkpointed_part_is_cast_as_before():
    w, x = real(8, 8, seed=1).requires_grad_(), real(8, 8)

    def gradient(run):
        with tinycnn.autocast("cpu"):
            y = x @ w  # casts w outside of the part
            z = run(lambda a: (a @ w).tanh() @ w, y)
        return [z.dtype, *[g.numpy() for g in tinycnn.grad(z.sum(), w)]]

    dtype, expected = gradient(lambda f, a: f(a))
    again, found = gradient(checkpoint)
    assert again == dtype == BFLOAT16
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02 * np.abs(expected).max())


# --- blocks -------------------------------------------------------------------------------------------------------


def now():
    x = real(2, 2)
    return (x @ x).dtype


def test_where_it_holds():
    assert not tinycnn.is_autocast_enabled("cpu")
    with tinycnn.autocast("cpu", FLOAT16):
        assert now() == tinycnn.get_autocast_dtype("cpu") == FLOAT16
        assert tinycnn.is_autocast_enabled("cpu")
        with tinycnn.autocast("cpu", enabled=False):
            assert now() == FLOAT32_
            with tinycnn.autocast("cpu", dtype="bfloat16"):
                assert now() == BFLOAT16
        assert now() == FLOAT16
        assert not tinycnn.is_autocast_enabled("cuda")
    assert now() == FLOAT32_
    assert (tinycnn.get_autocast_dtype("cpu"), tinycnn.get_autocast_dtype("cuda")) == (BFLOAT16, FLOAT16)
    assert tinycnn.amp.is_autocast_available("cpu")
    with pytest.raises(ZeroDivisionError), tinycnn.autocast("cpu"):
        raise ZeroDivisionError
    assert now() == FLOAT32_
    assert tinycnn.autocast("cpu")(now)() == BFLOAT16


def test_one_block_in_two_threads():
    """Each thread has its own nesting."""
    shared, inside, leave = tinycnn.autocast("cpu", FLOAT16), threading.Event(), threading.Event()
    seen = []

    def other():
        with shared:
            seen.append(now())
            inside.set()
            leave.wait(10)
        seen.append(now())

    thread = threading.Thread(target=other)
    with tinycnn.autocast("cpu", BFLOAT16):
        thread.start()
        inside.wait(10)
        with shared:
            leave.set()
            thread.join()
            assert now() == FLOAT16
        assert now() == BFLOAT16
    assert now() == FLOAT32_
    assert seen == [FLOAT16, FLOAT32_]


def test_without_a_gpu_it_says_so_once():
    code = """
import warnings
import tinycnn
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    with tinycnn.cuda.amp.autocast():
        print((tinycnn.ones(2, 2) @ tinycnn.ones(2, 2)).dtype, tinycnn.is_autocast_enabled())
    tinycnn.autocast("cuda", enabled=False)
print([str(each.message) for each in told])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if "float32 False" in done.stdout:  # where there is no GPU
        message = "autocast: device_type is 'cuda', but there is no GPU: it has no effect"
        assert done.stdout == f'float32 False\n["{message}"]\n'


@pytest.mark.parametrize("call, message", [
    (lambda: tinycnn.autocast("cpu", dtype="float32"), "autocast: expected dtype as bfloat16 or float16, got float32"),
    (lambda: tinycnn.autocast("tpu"), "autocast: expected device_type 'cuda' or 'cpu', got 'tpu'"),
    (lambda: tinycnn.autocast("cpu", enabled=1), "autocast: expected enabled"),
    (lambda: tinycnn.get_autocast_dtype("tpu"), "get_autocast_dtype: expected device_type"),
])  # fmt: skip
def test_wrong_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# --- operators of users -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cast_inputs", [None, FLOAT32_])
def test_operators_of_users(cast_inputs):
    seen = []

    class Product(Function):
        @staticmethod
        @tinycnn.amp.custom_fwd(device_type="cpu", cast_inputs=cast_inputs)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            y = a @ b
            seen.append((a.dtype, y.dtype))
            return y

        @staticmethod
        @tinycnn.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            products = g @ b.t(), a.t() @ g
            seen.append(products[0].dtype)
            return products

    a, b = real(2, 3).requires_grad_(), real(3, 2).requires_grad_()
    with tinycnn.autocast("cpu"):
        y = Product.apply(a.bfloat16(), b)
    y.sum().backward()
    expected = (BFLOAT16, BFLOAT16), BFLOAT16
    assert tuple(seen) == ((((FLOAT32_, FLOAT32_)), FLOAT32_) if cast_inputs is not None else expected)
    assert a.grad.dtype == b.grad.dtype == FLOAT32_


def test_former_names():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert tinycnn.cuda.amp.autocast(True, BFLOAT16).device == "cuda"
    scaler = tinycnn.cuda.amp.GradScaler(8.0, enabled=False)
    assert isinstance(scaler, tinycnn.amp.GradScaler)
    assert autocast_mode.autocast is tinycnn.autocast is tinycnn.amp.autocast


def test_a_block_of_another_dtype_casts_a_parameter_anew():
    layer, x = nn.Linear(2, 2), tinycnn.ones(1, 2)
    with tinycnn.autocast("cpu", dtype="bfloat16"):
        assert layer(x).dtype == "bfloat16"
        with tinycnn.autocast("cpu", dtype="float16"):
            assert layer(x).dtype == "float16"
        assert layer(x).dtype == "bfloat16"
