"""DLPack: the same memory in other libraries, both ways, and what a graph notices of their changes."""

import numpy as np
import pytest

import tinycnn
from tinycnn.interop.dlpack import to_dlpack


def sample(*shape, dtype="float32"):
    return tinycnn.tensor(np.random.default_rng(0).standard_normal(shape) * 10, dtype=dtype)


def numpy_():
    return np.from_dlpack, lambda array: array


def torch_():
    torch = pytest.importorskip("torch")
    return torch.from_dlpack, torch.from_numpy


def jax_():
    jax = pytest.importorskip("jax", reason="needs JAX: pip install jax")
    jax.config.update("jax_enable_x64", True)
    return jax.dlpack.from_dlpack, jax.numpy.asarray


OTHERS = [numpy_, pytest.param(torch_, marks=pytest.mark.torch), jax_]
LAYOUTS = [
    lambda x: x, lambda x: x.T, lambda x: x[1:], lambda x: x[:0], lambda x: x[1, 1], lambda x: x.reshape(3, 1, 4),
    lambda x: x.T[1:3],
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
def test_there_and_back(other, dtype, layout):
    take, _ = other()
    x = layout(sample(3, 4, dtype=dtype))
    if other is jax_ and layout is LAYOUTS[-1]:
        x = x.contiguous()  # JAX takes no memory with gaps
    theirs = take(x)
    np.testing.assert_array_equal(np.asarray(theirs), x.numpy())
    back = tinycnn.from_dlpack(theirs)
    assert (back.shape, back.dtype, back.device) == (x.shape, x.dtype, "cpu")
    np.testing.assert_array_equal(back.numpy(), x.numpy())


@pytest.mark.parametrize("other", OTHERS[:2])
def test_memory_is_shared(other):
    take, make = other()
    x = sample(3, 4)
    theirs = take(x.T)
    theirs[1, 2] = 5
    assert x[2, 1].item() == 5
    theirs = make(np.zeros(3, np.float32))
    x = tinycnn.from_dlpack(theirs)
    x += 1
    assert theirs.tolist() == [1, 1, 1]
    theirs[0] = 7
    assert x.tolist() == [7, 1, 1]


@pytest.mark.parametrize("other", OTHERS)
def test_the_memory_lives_as_long_as_one_side_does(other):
    take, make = other()
    theirs = take(sample(1000, 1000))
    np.testing.assert_array_equal(np.asarray(theirs), sample(1000, 1000).numpy())
    x = tinycnn.from_dlpack(make(sample(1000, 1000).numpy()))
    np.testing.assert_array_equal(x.numpy(), sample(1000, 1000).numpy())


def test_arrays_of_jax_are_read_only():
    _, make = jax_()
    x = tinycnn.from_dlpack(make(np.ones(3, np.float32)))
    with pytest.raises(RuntimeError):
        x += 1
    assert (x + 1).tolist() == [2, 2, 2]


def test_read_only_both_ways():
    array = np.arange(3.0)
    array.flags.writeable = False
    x = tinycnn.from_dlpack(array)
    for change in (lambda: x.zero_(), lambda: x.__setitem__(0, 1), lambda: x.add_(1)):
        with pytest.raises(RuntimeError, match=r"its memory is read-only: clone\(\) it before changing it"):
            change()
    assert not np.from_dlpack(x).flags.writeable
    assert not tinycnn.from_dlpack(x)._array.flags.writeable
    assert tinycnn.from_dlpack(array, copy=True).zero_().tolist() == [0, 0, 0]
    assert array.tolist() == [0, 1, 2]
    with pytest.raises(BufferError):
        x.__dlpack__()  # a capsule of the first version could not say so


class FirstVersion:
    """An array of an older library, whose `__dlpack__` takes no options."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


def test_what_does_not_say_that_it_may_be_written_may_not():
    x = tinycnn.from_dlpack(FirstVersion(np.arange(3.0)))
    assert x.tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError):
        x.zero_()


@pytest.mark.parametrize("other", OTHERS[:2])
def test_a_graph_notices_changes_of_the_other_side(other):
    take, make = other()
    x = sample(3).requires_grad_()
    w = sample(3)
    theirs = take(w)
    y = (x * w).sum()
    theirs[0] = 100
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()

    theirs = make(np.ones(3, np.float32))
    w = tinycnn.from_dlpack(theirs)
    y = (x * w).sum()
    theirs[0] = 100
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    y = (x * w).sum()
    y.backward()
    assert x.grad.tolist() == [100, 1, 1]

    y = (x * w).sum()
    later = take(w)
    later[1] = 5
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_copy():
    array = np.arange(3.0)
    for copy, shared in ((None, True), (False, True), (True, False)):
        x = tinycnn.from_dlpack(array, copy=copy)
        assert np.shares_memory(x.numpy(), array) == shared
        assert np.shares_memory(np.from_dlpack(x, copy=copy), x.numpy()) == shared
        assert np.shares_memory(np.from_dlpack(x, device="cpu", copy=copy), x.numpy()) == shared
    assert tinycnn.from_dlpack(array, device="cpu", copy=False).tolist() == [0, 1, 2]


def test_a_tensor_that_requires_a_gradient_refuses():
    x = sample(3).requires_grad_()
    for take in (np.from_dlpack, lambda x: x.__dlpack__(), to_dlpack, tinycnn.from_dlpack):
        with pytest.raises(BufferError, match=r"this tensor requires grad; use tensor.detach\(\)"):
            take(x)
    assert np.from_dlpack(x.detach()).shape == (3,)


def test_capsules():
    x = sample(3)
    capsule = to_dlpack(x)
    back = tinycnn.from_dlpack(capsule)
    back.zero_()
    assert x.tolist() == [0, 0, 0]
    with pytest.raises(BufferError, match="from_dlpack: cannot take this capsule: "):
        tinycnn.from_dlpack(capsule)  # it has been used
    with pytest.raises(TypeError, match="^to_dlpack: expected a Tensor, got list$"):
        to_dlpack([1])


@pytest.mark.torch
def test_capsules_of_torch():
    torch = pytest.importorskip("torch")
    x = torch.arange(3)
    assert tinycnn.from_dlpack(torch.utils.dlpack.to_dlpack(x)).tolist() == [0, 1, 2]
    assert torch.utils.dlpack.from_dlpack(to_dlpack(sample(3))).shape == (3,)


@pytest.mark.torch
def test_errors_are_those_of_torch():
    torch = pytest.importorskip("torch")
    for make in (torch.ones, tinycnn.ones):
        with pytest.raises(BufferError):
            make(2).requires_grad_().__dlpack__()
        assert make(2).__dlpack_device__() == (1, 0)
        for options in ({"max_version": (1, 0), "dl_device": (1, 0), "copy": True}, {"stream": -1}, {}):
            assert type(make(2).__dlpack__(**options)).__name__ == "PyCapsule"
        with pytest.raises((BufferError, AssertionError)):
            make(2).__dlpack__(stream=3)
    for bad in (torch.ones(2).bfloat16(), torch.ones(2, requires_grad=True)):
        with pytest.raises(BufferError, match="^from_dlpack: cannot take this tensor: [^\n]+$"):
            tinycnn.from_dlpack(bad)


def test_what_cannot_be_taken():
    for bad in (3, [1.0], "a", None, object()):
        with pytest.raises(TypeError, match="^from_dlpack: expected an object with __dlpack__, or a capsule, got "):
            tinycnn.from_dlpack(bad)
    with pytest.raises(TypeError, match="^dtype: expected a boolean, integer or floating-point type.*complex64$"):
        tinycnn.from_dlpack(np.ones(2, np.complex64))
    with pytest.raises(BufferError, match="^from_dlpack: cannot take this ndarray: DLPack only supports native byte"):
        tinycnn.from_dlpack(np.ones(2, ">f4"))
    with pytest.raises(TypeError, match="expected copy"):
        tinycnn.from_dlpack(np.ones(2), copy=1)
    with pytest.raises((ValueError, RuntimeError, ImportError), match="^device: "):
        tinycnn.from_dlpack(np.ones(2), device="elsewhere")
    elsewhere = FirstVersion(np.ones(2))
    elsewhere.__class__ = type("Metal", (FirstVersion,), {"__dlpack_device__": lambda self: (8, 0)})
    with pytest.raises(TypeError, match="expected memory of a CPU or of a GPU of NVIDIA, got the kind of device 8"):
        tinycnn.from_dlpack(elsewhere)


def test_devices_that_a_tensor_cannot_be_given_to():
    x = sample(2)
    with pytest.raises(BufferError, match=r"a tensor on cpu cannot be given to the device \(2, 0\) by DLPack"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="expected stream=None for a tensor on the CPU, got 7"):
        x.__dlpack__(stream=7)
