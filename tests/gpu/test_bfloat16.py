"""16 bits on a GPU: every operator and layer gives what it gives on the CPU, and the kernels round as NumPy does."""

import zlib

import numpy as np
import pytest

import tinycnn
from tests import layers, operators
from tests.gpu import lib, on_gpu, without_waiting
from tests.test_bfloat16 import EPS, STEPS, rounded
from tinycnn import nn, optim, tensor
from tinycnn.autograd import wrap
from tinycnn.nn import functional as F

pytest.importorskip("ml_dtypes")
pytestmark = pytest.mark.gpu


def found_of(outputs):
    return {name: (y.dtype, y.detach().cpu().double().numpy()) for name, y in outputs.items()}


def of_operator(case, device, dtype):
    inputs = [rounded(tinycnn, a, dtype, getattr(tinycnn, dtype)) for a in case.inputs()]
    inputs = [x.detach().to(device).requires_grad_(x.requires_grad) for x in inputs]
    outputs = case.run(lib if device == "cuda" else tinycnn, inputs)
    kept, asked = [y for y in outputs if y.requires_grad], [x for x in inputs if x.requires_grad]
    found = {f"output{i}": y for i, y in enumerate(outputs)}
    if kept:
        rng = np.random.default_rng(zlib.crc32(case.name.encode()))
        upstream = [tensor(rng.standard_normal(y.shape)).to(y.dtype).to(device) for y in kept]
        gradients = tinycnn.grad(kept, asked, upstream, allow_unused=True)
        found |= {f"gradient{i}": g for i, g in enumerate(gradients) if g is not None}
    return found_of(found)


def of_layer(case, device, dtype):
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    module = case.build(nn)
    module.load_state_dict(layers.state_of(module, rng))
    module.to(device, getattr(tinycnn, dtype))

    def given(array):
        return rounded(tinycnn, array, dtype, getattr(tinycnn, dtype)).detach().to(device)

    x, others = given(rng.standard_normal(case.input)).requires_grad_(), [given(draw(rng)) for draw in case.others]
    y = module(x, *others)
    y.backward(given(rng.standard_normal(y.shape)))
    found = {"output": y, "input": x.grad} | {name: p.grad for name, p in module.named_parameters()}
    if any("running" in name for name, _ in module.named_buffers()):
        found |= dict(module.named_buffers()) | {"output of eval": module.eval()(x, *others)}
    return found_of(found)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("of, case", [
    *[pytest.param(of_operator, case, id=f"operator {case.name}") for case in operators.CASES],
    *[pytest.param(of_layer, case, id=f"layer {case.name}") for case in layers.CASES],
])  # fmt: skip
def test_same_as_on_the_cpu(of, case, dtype):
    found, expected = of(case, "cuda", dtype), of(case, "cpu", dtype)
    for name, (kind, value) in expected.items():
        assert found[name][0] == kind, name
        largest = np.abs(value[np.isfinite(value)]).max(initial=0)
        if not any(word in case.name for word in STEPS):
            close = {"rtol": 4 * EPS[dtype], "atol": 6 * EPS[dtype] * max(1, largest)}
            np.testing.assert_allclose(found[name][1], value, err_msg=name, **close)


def every_kind_of_float32():
    """Random bits, so numbers of all sizes and nans; ties between two numbers of 16 bits, and their neighbours."""
    bits = np.random.default_rng(0).integers(0, 2**32, 40_000, np.uint32)
    ties = (bits[:3000] & np.uint32(0xFFFF0000) | np.uint32(0x8000)) + np.arange(-1, 2, dtype=np.int64).repeat(1000)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, 2.0**-133, 2.0**-134], np.float32)
    payload = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF80FFFF], np.uint32)
    return np.concatenate([x.view(np.float32) for x in (bits, ties.astype(np.uint32), payload)] + [special])


@pytest.mark.filterwarnings("ignore")
def test_kernels_round_as_numpy(request):
    """By a sum of one number each, of float32 in the kernel: its result is rounded by `BFloat16`."""
    from tinycnn.backend.gpu import kernels as gpu

    x = every_kind_of_float32()
    whole = np.ones(len(x), tinycnn.bfloat16)
    found = gpu.scale_shift(on_gpu(whole), on_gpu(x), None).get()
    expected = x.astype(tinycnn.bfloat16)
    is_nan = np.isnan(x)
    np.testing.assert_array_equal(found.view(np.uint16)[~is_nan], expected.view(np.uint16)[~is_nan])
    assert np.isnan(found[is_nan].astype(np.float32)).all()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_training_step_does_not_wait(dtype):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(54, 10),
    ).to("cuda")  # fmt: skip
    optimizer, scaler = optim.SGD(net.parameters(), lr=0.1), tinycnn.amp.GradScaler(enabled=dtype == "float16")
    x, target = tinycnn.randn(8, 1, 16, 16, device="cuda"), tensor(np.arange(8), device="cuda")

    def step():
        optimizer.zero_grad()
        with tinycnn.autocast("cuda", dtype):
            loss = F.cross_entropy(net(x), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    first = step().item()
    with without_waiting():
        for _ in range(10):
            loss = step()
    assert loss.item() < first


def test_what_a_gpu_supports():
    assert tinycnn.cuda.is_bf16_supported() == (tinycnn.cuda.get_device_capability() >= (8, 0))


def test_only_tensors_of_the_device_type_are_cast():
    x = tinycnn.randn(2, 2)
    with tinycnn.autocast("cuda"):
        assert (x @ x).dtype == tinycnn.float32
        assert (x.cuda() @ x.cuda()).dtype == tinycnn.float16
    with tinycnn.autocast("cpu"):
        assert (x @ x).dtype == tinycnn.bfloat16
        assert (x.cuda() @ x.cuda()).dtype == tinycnn.float32


def test_an_older_cupy_is_named(monkeypatch):
    import cupy

    from tinycnn import backend

    monkeypatch.setattr(cupy, "__version__", "13.6.0")
    backend.devices.check_bfloat16.cache_clear()
    try:
        for use in (
            lambda: tinycnn.ones(2, device="cuda").bfloat16(), lambda: tinycnn.ones(2).bfloat16().cuda(),
            lambda: tinycnn.zeros(2, dtype="bfloat16", device="cuda"),
        ):  # fmt: skip
            with pytest.raises(ImportError, match=r"^bfloat16 .* needs CuPy 14 and .*, this is CuPy 13.6.0 and .*pip"):
                use()
    finally:
        backend.devices.check_bfloat16.cache_clear()


def test_optimizers_take_bfloat16_parameters():
    for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop", "Lion",
                 "Muon"):  # fmt: skip
        expected = None
        for device in ("cpu", "cuda"):
            w = nn.Parameter(wrap(np.linspace(-2, 2, 33).reshape(11, 3).astype(tinycnn.bfloat16)).to(device))
            optimizer = getattr(optim, name)([w], lr=0.05)
            for _ in range(5):
                w.grad = (w.detach() * 0.5).bfloat16()
                optimizer.step()
            assert w.dtype == tinycnn.bfloat16
            found = w.detach().cpu().float().numpy()
            expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=0.03, atol=0.03, err_msg=name)
