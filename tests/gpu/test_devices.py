"""Tensors on several devices: refused together, moved, saved, copied, printed; operators run where their inputs are."""

import copy
import os
import pickle
import types

import numpy as np
import pytest

import tinycnn
from tests.gpu import on_gpu
from tests.operators import CASES
from tests.test_operators import batch_innermost, column_major, reversed_memory, strided
from tinycnn import backend, nn
from tinycnn._extras import how_to_install
from tinycnn.autograd import wrap
from tinycnn.diagnostics import inspection
from tinycnn.diagnostics.gradcheck import GradcheckError
from tinycnn.models import LeNet5
from tinycnn.nn import functional as F

pytestmark = pytest.mark.gpu


def gpu_count():
    import cupy

    return cupy.cuda.runtime.getDeviceCount()


@pytest.fixture
def second_gpu():
    if gpu_count() < 2:
        pytest.skip("needs two GPUs")
    return "cuda:1"


def sample(*shape, device="gpu", dtype="float32"):
    return tinycnn.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype, device=device)


# --- several devices in one operator --------------------------------------------------------------------------

X, W, IMAGES, KERNELS = (3, 4), (3, 4), (2, 3, 5, 5), (4, 3, 2, 2)
INDEX = np.array([0, 2, 1])
TOGETHER = {
    "Add": (lambda a, b: a + b, X, X),
    "Sub": (lambda a, b: a - b, X, X),
    "Mul": (lambda a, b: a * b, X, (4,)),
    "Div": (lambda a, b: a / b, X, X),
    "Pow": (lambda a, b: a**b, X, X),
    "Remainder": (lambda a, b: a % b, X, X),
    "floor_divide": (lambda a, b: a // b, X, X),
    "Maximum": (lambda a, b: a.maximum(b), X, X),
    "Minimum": (lambda a, b: a.minimum(b), X, X),
    "where": (lambda a, b: tinycnn.where(a > 0, b, 1.0), X, X),
    "clamp": (lambda a, b: a.clamp(min=b), X, X),
    "masked_fill": (lambda a, b: a.masked_fill(b > 0, 1.0), X, X),
    "equal": (lambda a, b: a == b, X, X),
    "less": (lambda a, b: a < b, X, X),
    "isclose": (lambda a, b: a.isclose(b), X, X),
    "'&'": (lambda a, b: (a > 0) & (b > 0), X, X),
    "MatMul": (lambda a, b: a @ b.T, X, X),
    "Cat": (lambda a, b: tinycnn.cat([a, b]), X, X),
    "stack": (lambda a, b: tinycnn.stack([a, b]), X, X),
    "gather": (lambda a, b: a.gather(0, (b > 9).long()), X, X),
    "assignment": (lambda a, b: a.__setitem__(0, b), X, X),
    "linear": (F.linear, X, X),
    "conv2d": (F.conv2d, IMAGES, KERNELS),
    "conv_transpose2d": (F.conv_transpose2d, (2, 4, 4, 4), KERNELS),
    "mse_loss": (F.mse_loss, X, X),
    "binary_cross_entropy": (lambda a, b: F.binary_cross_entropy(a.sigmoid(), b.sigmoid()), X, X),
}


@pytest.mark.parametrize("devices", [("cpu", "cuda:0"), ("cuda:0", "cpu"), ("cuda:0", "cuda:1")])
@pytest.mark.parametrize("name", TOGETHER)
def test_operands_on_several_devices_are_refused(name, devices):
    if int(devices[1][-1:].replace("u", "0")) >= gpu_count():
        pytest.skip("needs two GPUs")
    function, a, b = TOGETHER[name]
    with pytest.raises((ValueError, TypeError)) as refused:
        function(sample(*a, device=devices[0]), sample(*b, device=devices[1]))
    message = str(refused.value)
    assert devices[0] in message
    assert devices[1] in message
    assert ".to()" in message
    assert "\n" not in message


def test_the_message_names_the_operator():
    with pytest.raises(ValueError, match=r"^add: tensors on cpu and cuda:0; move them to one device with \.to\(\)$"):
        sample(2) + sample(2, device="cpu")
    with pytest.raises(ValueError, match=r"^cat: tensors on cpu and cuda:0; move"):
        tinycnn.cat([sample(2), sample(2, device="cpu")])


def test_an_index_may_lie_on_the_cpu():
    x = sample(3, 4)
    for index in (INDEX, INDEX.tolist(), tinycnn.tensor(INDEX), tinycnn.tensor(INDEX).gpu()):
        np.testing.assert_array_equal(x[index].cpu().numpy(), x.cpu().numpy()[INDEX])


def test_values_from_the_host_may_be_assigned():
    x = sample(3, 4)
    x[0] = np.arange(4)
    x[1] = [4.0, 5, 6, 7]
    x[2] = 8
    np.testing.assert_array_equal(x.cpu().numpy(), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 8, 8, 8]])
    x.copy_(sample(3, 4, device="cpu"))
    np.testing.assert_array_equal(x.cpu().numpy(), sample(3, 4, device="cpu").numpy())
    with pytest.raises(ValueError, match=r"cannot assign a value of shape \(3,\) to a tensor region of shape \(4,\)"):
        x[0] = sample(3)
    with pytest.raises(RuntimeError, match="an expanded tensor repeats its elements"):
        sample(1).expand(3).zero_()


# --- operators run where their inputs are ---------------------------------------------------------------------


@pytest.mark.slow
def test_every_operator_on_another_gpu_than_the_current_one(second_gpu):
    import cupy

    from tests.gpu import _OnGpu, assert_close
    from tests.gpu.test_operators import run

    class OnSecond(_OnGpu):
        @staticmethod
        def tensor(data, **options):
            return tinycnn.tensor(data, device=second_gpu, **options)

    for case in CASES:
        if "python_bool" not in case.name:
            with cupy.cuda.Device(0):
                found = run(OnSecond(), case, [on_gpu(a, 1) for a in case.inputs()])
                assert cupy.cuda.runtime.getDevice() == 0, case.name
            assert_close(found, run(tinycnn, case, case.inputs()), 1e-10)


def test_a_net_on_another_gpu_than_the_current_one(second_gpu):
    import cupy

    images, labels = sample(4, 1, 28, 28, device="cpu"), tinycnn.tensor([3, 1, 4, 1])
    found = []
    for device in ("cpu", second_gpu):
        tinycnn.manual_seed(0)
        net = LeNet5().to(device)
        with cupy.cuda.Device(0):
            loss = F.cross_entropy(net(images.to(device)), labels.to(device))
            loss.backward()
        assert {str(p.grad.device) for p in net.parameters()} == {device}
        found.append([loss.item(), *[p.grad.cpu().numpy() for p in net.parameters()]])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_changes_in_place_on_another_gpu(second_gpu):
    x = sample(3, device=second_gpu)
    x.zero_().add_(2)
    x[1] = 5
    x.copy_(x * 2)
    assert x.tolist() == [4, 10, 4]
    assert copy.deepcopy(x).device == second_gpu


# --- moving ---------------------------------------------------------------------------------------------------


def test_moving_a_tensor():
    x = sample(2, 3, device="cpu").requires_grad_()
    y = x.gpu()
    assert (x.device, y.device) == ("cpu", "cuda:0")
    assert x.to("cuda:0").device == x.cuda().device == x.to("gpu", "float64").device == x.to(y).device == y.device
    assert y.to("cuda") is y
    assert y.to("cuda:0", tinycnn.float64).dtype == np.float64
    (y * y).sum().backward()
    assert x.grad.device == "cpu"
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy())
    assert y.detach().cpu().numpy().flags.writeable


def test_moving_between_gpus(second_gpu):
    x = sample(2, 3).requires_grad_()
    y = x.to(second_gpu)
    (y * y).sum().backward()
    assert (y.device, x.grad.device) == ("cuda:1", "cuda:0")
    np.testing.assert_allclose(x.grad.cpu().numpy(), 2 * x.detach().cpu().numpy())


@pytest.mark.parametrize("layout", [strided, reversed_memory, column_major, batch_innermost])
def test_moving_between_gpus_in_any_memory_order(second_gpu, layout):
    for x in (layout(np.arange(60.0).reshape(3, 4, 5)), np.broadcast_to(np.arange(5.0), (4, 5)), np.array(3.0)):
        moved = wrap(on_gpu(x)).to(second_gpu)
        assert moved.device == second_gpu
        np.testing.assert_array_equal(moved.cpu().numpy(), x)


def test_moving_a_module():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    first = net[0].weight
    net(sample(4, 3, device="cpu")).sum().backward()
    expected = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    assert net.gpu() is net
    assert net[0].weight is first
    assert {str(x.device) for x in [*net.parameters(), *net.buffers()]} == {"cuda:0"}
    assert first.grad.device == "cuda:0"
    for key, value in net.cpu().state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[key])


def test_state_dicts_fit_on_any_device():
    on_cpu, there = nn.Linear(3, 2), nn.Linear(3, 2).gpu()
    there.load_state_dict(on_cpu.state_dict())
    assert there.weight.device == "cuda:0"
    np.testing.assert_array_equal(there.weight.detach().cpu().numpy(), on_cpu.weight.detach().numpy())
    there.weight.data.fill_(1)
    on_cpu.load_state_dict(there.state_dict())
    assert on_cpu.weight.device == "cpu"
    assert (on_cpu.weight.detach().numpy() == 1).all()


def test_saving_and_loading(tmp_path):
    state = nn.Linear(3, 2).gpu().state_dict()
    tinycnn.save(state, tmp_path / "a.safetensors")
    for device in ("cpu", "cuda:0"):
        loaded = tinycnn.load(tmp_path / "a.safetensors", device)
        assert {str(x.device) for x in loaded.values()} == {device}
        for key, value in loaded.items():
            np.testing.assert_array_equal(value.cpu().numpy(), state[key].cpu().numpy())


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_deepcopy_and_pickle(twin_of):
    x = sample(2, 3).T
    twin = twin_of(x.requires_grad_() if x.is_leaf else x)
    assert (twin.device, twin.shape, twin._array.strides) == (x.device, x.shape, x._array.strides)
    np.testing.assert_array_equal(twin.detach().cpu().numpy(), x.detach().cpu().numpy())
    with tinycnn.no_grad():
        twin.zero_()
    assert x.abs().sum().item() > 0
    net = twin_of(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).gpu())
    assert {str(x.device) for x in net.state_dict().values()} == {"cuda:0"}
    net(sample(4, 2)).sum().backward()


def test_from_a_cupy_array():
    import cupy

    array = cupy.arange(3)
    x = tinycnn.tensor(array)
    array[0] = 7
    assert x.device == "cuda:0"
    assert x.tolist() == [0, 1, 2]
    assert (x + array).tolist() == [7, 2, 4]
    assert tinycnn.tensor(array, device="cpu").tolist() == [7, 1, 2]


# --- looking at tensors ---------------------------------------------------------------------------------------


def test_values_on_the_host():
    x = tinycnn.tensor([[1.5, 2.0]], device="gpu")
    assert x.tolist() == [[1.5, 2.0]]
    assert x[0, 1].item() == float(x[0, 1]) == 2.0
    assert bool(x[0, 0])
    assert f"{x[0, 0]:.2f}" == "1.50"
    assert 2.0 in x
    assert repr(x) == "tensor([[1.5000, 2.0000]], device='cuda:0')"
    text = "Parameter containing:\ntensor([[1.5000, 2.0000]], device='cuda:0', requires_grad=True)"
    assert repr(nn.Parameter(x)) == text
    assert [row.shape for row in x] == [(2,)]
    assert x.data.shape == (1, 2)
    with pytest.raises(TypeError, match=r"numpy\(\): this tensor is on cuda:0; use tensor.cpu\(\).numpy\(\)"):
        x.numpy()
    with pytest.raises(TypeError, match="this tensor is on cuda:0"):
        np.asarray(x)


def test_gradcheck():
    x = sample(2, 3, dtype="float64").requires_grad_()
    assert tinycnn.gradcheck(lambda x: x.tanh() * x, x)
    assert tinycnn.gradcheck(lambda x: x.exp(), x, fast_mode=True)
    assert tinycnn.gradgradcheck(lambda x: x.sigmoid(), x)
    with pytest.raises(GradcheckError, match="is wrong"):
        tinycnn.gradcheck(lambda x: x * x.detach(), x)
    with pytest.raises(ValueError, match="repeats elements"):
        tinycnn.gradcheck(lambda x: x, sample(1, dtype="float64").expand(3).requires_grad_())


def test_gradcheck_on_another_gpu(second_gpu):
    assert tinycnn.gradcheck(lambda x: x.tanh() * x, sample(2, 3, dtype="float64", device=second_gpu).requires_grad_())


def test_detect_anomaly():
    x = tinycnn.tensor([-1.0], device="gpu", requires_grad=True)
    with tinycnn.detect_anomaly(), pytest.raises(RuntimeError, match="Log produced the first nan"):
        x.log()
    with pytest.raises(RuntimeError, match="the gradient of Sqrt is the first nan"), tinycnn.detect_anomaly():
        (tinycnn.zeros(1, device="gpu", requires_grad=True).sqrt() * 0).sum().backward()


def test_summary_and_record():
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).gpu()
    assert tinycnn.summary(net, (4, 3), show=False).parameters == 8
    with inspection.record(net) as seen:
        net(sample(4, 3)).sum().backward()
    assert seen["0"].output.device == seen["0"].gradient.device == "cuda:0"
    assert "Linear" in inspection.graph(seen["1"].output)


def test_hooks_and_changes_in_place():
    x = sample(3).requires_grad_()
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.device))
    y.sum().backward()
    assert seen == ["cuda:0"]
    y = x * x
    with tinycnn.no_grad():
        x.zero_()
    with pytest.raises(RuntimeError, match="Mul: input 0 of shape \\(3,\\) was changed in place"):
        y.sum().backward()


def test_an_array_that_was_handed_out_is_not_read_back():
    from tests.gpu import without_waiting

    x = sample(3).requires_grad_()
    x.data[0] = 1.0
    with without_waiting():
        (x * x).sum().backward()


# --- errors ---------------------------------------------------------------------------------------------------


def test_out_of_memory():
    if os.environ.get("TINYCNN_EMULATE_GPU") != "1":
        pytest.skip("would fill the GPU")
    import cupy

    from tests import emulator

    x = sample(1000)
    free, total = cupy.cuda.Device().mem_info
    emulator.limit_memory(total - free + 3_000_000)
    try:
        with cupy.cuda.using_allocator(cupy.cuda.MemoryPool().malloc):  # the default one may have memory to spare
            run_out_of_memory(x)
    finally:
        emulator.limit_memory(None)
    assert (x + x).shape == (1000,)  # and all is well again


def run_out_of_memory(x):
    with pytest.raises(MemoryError) as refused:
        x.unsqueeze(1) + x
    assert str(refused.value).startswith("add: cuda:0 is out of memory: 3.8 MiB were asked for, ")
    assert "a smaller batch size needs less" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(MemoryError, match=r"^to: cuda:0 is out of memory: 7.6 MiB were asked for"):
        tinycnn.tensor(np.zeros(1_000_000), device="gpu")
    wide = x.expand(1000, 1000).requires_grad_()
    y = wide[0] * wide[1]
    with pytest.raises(MemoryError, match=r"^scatter: cuda:0 is out of memory"):
        y.sum().backward()


@pytest.mark.parametrize(
    "status, driver, runtime, message",
    [
        (35, 0, 13020, "no NVIDIA driver was found: install it"),
        (35, 12080, 13020, "the NVIDIA driver knows CUDA up to 12.8, this CuPy needs CUDA 13: update it to 580 or "
                           f"newer, or {how_to_install('cuda12x')} in place of the CuPy installed now"),
        (35, 11040, 12090, "the NVIDIA driver knows CUDA up to 11.4, this CuPy needs CUDA 12: update it to 525"),
        (100, 13000, 13020, "CuPy found no usable GPU (cudaErrorNoDevice: no CUDA-capable device is detected)"),
    ],
)  # fmt: skip
def test_drivers_that_are_missing_or_too_old(monkeypatch, status, driver, runtime, message):
    class CUDARuntimeError(RuntimeError):
        pass

    def get_device_count():
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    fake = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, getDeviceCount=get_device_count, driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: runtime,
    )  # fmt: skip
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=fake))
    monkeypatch.setattr(backend.devices, "cupy", lambda: cupy)
    with pytest.raises(RuntimeError) as refused:
        backend.device("cuda:0")
    assert str(refused.value).startswith(f"device: {message}")
    assert backend.device("auto") == backend.CPU


def test_a_cupy_without_the_compiler(monkeypatch):
    def not_found():
        raise RuntimeError("Failure finding libnvrtc.so.13:\n  a list of all folders")

    found = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            CUDARuntimeError=RuntimeError, getDeviceCount=lambda: 1, runtimeGetVersion=lambda: 13020
        ),
        nvrtc=types.SimpleNamespace(getVersion=not_found),
    )
    monkeypatch.setattr(backend.devices, "cupy", lambda: types.SimpleNamespace(cuda=found))
    expected = (
        "device: CuPy does not find NVRTC, which compiles kernels (Failure finding libnvrtc.so.13:): "
        f"{how_to_install('cuda13x')}, which brings it, or install the CUDA 13 toolkit"
    )
    with pytest.raises(RuntimeError) as refused:
        backend.device("gpu")
    assert str(refused.value) == expected


def test_no_such_gpu():
    with pytest.raises(ValueError, match=f"device: cuda:7 does not exist, this machine has {gpu_count()} GPU"):
        backend.device("cuda:7")
    with pytest.raises(ValueError, match="cuda:7 does not exist"):
        sample(1).to("cuda:7")
