"""Switches of torch, memory formats, accelerators, and the random state as torch.random has it."""

import pytest

import tinycnn
from tinycnn import backend, cuda


@pytest.fixture(autouse=True)
def as_before():
    dtype = tinycnn.get_default_dtype()
    yield
    tinycnn.set_default_dtype(dtype)
    tinycnn.set_default_device("cpu")
    tinycnn.use_deterministic_algorithms(False)


def test_compile_returns_what_it_is_given():
    def f(x):
        return x

    assert tinycnn.compile(f) is f
    assert tinycnn.compile(f, mode="max-autotune") is f
    assert tinycnn.compile(fullgraph=True)(f) is f


def test_deterministic_algorithms():
    tinycnn.use_deterministic_algorithms(True, warn_only=True)
    assert tinycnn.are_deterministic_algorithms_enabled()
    with pytest.raises(TypeError, match="use_deterministic_algorithms: expected mode"):
        tinycnn.use_deterministic_algorithms("yes")


@pytest.mark.parametrize("kind", ["torch.DoubleTensor", "DoubleTensor"])
def test_default_tensor_type(kind):
    tinycnn.set_default_tensor_type(kind)
    assert tinycnn.zeros(1).dtype == tinycnn.float64
    with pytest.raises(TypeError, match="set_default_tensor_type: expected a floating-point tensor type, got 'Long"):
        tinycnn.set_default_tensor_type("LongTensor")


def test_threads_between_operators():
    tinycnn.set_num_interop_threads(4)
    assert tinycnn.get_num_interop_threads() == 1
    with pytest.raises(ValueError, match="set_num_interop_threads: expected threads"):
        tinycnn.set_num_interop_threads(0)


def test_default_device():
    assert tinycnn.get_default_device() == "cpu"
    with tinycnn.device("cpu") as device:
        assert tinycnn.zeros(1).device == device == backend.CPU
    tinycnn.set_default_device(None)
    assert tinycnn.get_default_device() == "cpu"


@pytest.mark.parametrize("spec", [("cpu",), ("cpu:0",), (tinycnn.device("cpu"),)])
def test_names_of_the_cpu(spec):
    assert tinycnn.device(*spec) == backend.CPU


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    assert cuda.device_count() == 0
    assert cuda.empty_cache() is None
    assert cuda.runtime_version() is None
    assert not tinycnn.mps.is_available()
    assert not tinycnn.xpu.is_available()
    assert tinycnn.xpu.device_count() == 0
    assert tinycnn.backends.cudnn.version() is None
    assert not tinycnn.backends.cudnn.is_available()


def test_seeds():
    assert tinycnn.manual_seed(3).initial_seed() == 3
    first = tinycnn.rand(3)
    cuda.manual_seed_all(3)
    assert bool((tinycnn.rand(3) == first).all())
    assert tinycnn.initial_seed() == 3
    assert tinycnn.seed() == tinycnn.initial_seed()


def test_random_states_are_kept():
    tinycnn.manual_seed(0)
    state = tinycnn.get_rng_state()
    first = tinycnn.rand(3).tolist()
    tinycnn.set_rng_state(state)
    with tinycnn.random.fork_rng():
        assert tinycnn.rand(3).tolist() == first
    assert tinycnn.rand(3).tolist() == first
    for wrong in (None, tinycnn.zeros(3), tinycnn.zeros(3, dtype=tinycnn.uint8)):
        with pytest.raises(ValueError, match="set_rng_state: expected what get_rng_state returned"):
            tinycnn.set_rng_state(wrong)


def test_generators():
    one, other = tinycnn.Generator(), tinycnn.Generator(device="cpu").manual_seed(5)
    assert one.initial_seed() == 67280421310721
    assert one.manual_seed(5) is one
    assert one.numbers.random() == other.numbers.random()
    assert one.seed() == one.initial_seed() != 5
    tinycnn.manual_seed(0)
    drawn = one.numbers.random()
    assert drawn != tinycnn.default_generator.numbers.random()
    with pytest.raises(ValueError, match=r"Generator.manual_seed: expected seed"):
        one.manual_seed(-1)


def test_memory_formats():
    x = tinycnn.ones(2, 3, 4, 5)
    last = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert x.is_contiguous()
    assert not x.is_contiguous(memory_format=tinycnn.channels_last)
    assert last.is_contiguous(memory_format=tinycnn.channels_last)
    assert not last.is_contiguous()
    assert x.to(memory_format=tinycnn.channels_last) is x
    assert last.contiguous(memory_format=tinycnn.channels_last) is last
    assert last.clone(memory_format=tinycnn.contiguous_format).is_contiguous()
    assert last.clone(memory_format=tinycnn.preserve_format).shape == x.shape
    assert tinycnn.zeros_like(x, memory_format=tinycnn.preserve_format).shape == x.shape
    assert isinstance(tinycnn.channels_last_3d, tinycnn.memory_format)
    assert (str(tinycnn.channels_last), repr(tinycnn.strided)) == ("torch.channels_last", "torch.strided")


def test_copies_on_request():
    x = tinycnn.ones(2)
    assert x.to("cpu", non_blocking=True) is x
    assert x.to("cpu", tinycnn.float64, True).dtype == tinycnn.float64
    assert x.to(x, copy=True) is not x
    assert x.cpu() is x


def test_downloads_are_refused():
    with pytest.raises(RuntimeError, match=r"hub: nothing is downloaded here: save https://x.pth to a file"):
        tinycnn.hub.load_state_dict_from_url("https://x.pth", progress=True)
    with pytest.raises(RuntimeError, match="hub: nothing is downloaded here: build the net of pytorch/vision"):
        tinycnn.hub.load("pytorch/vision", "resnet18", pretrained=True)
    with pytest.raises(RuntimeError, match="hub: nothing is downloaded"):
        tinycnn.utils.model_zoo.load_url("https://x.pth")
