"""Tensors where NumPy, or what uses it, expects arrays; and arrays as tensors."""

import math

import numpy as np
import pytest

import tinycnn


def sample(*shape, dtype="float32"):
    return tinycnn.tensor(np.random.default_rng(0).standard_normal(shape), dtype=dtype)


# --- __array__ --------------------------------------------------------------------------------------------


def test_asarray_shares_memory_and_array_copies():
    x = sample(2, 3)
    for make in (np.asarray, np.asanyarray, lambda x: np.array(x, copy=None), lambda x: np.array(x, copy=False)):
        assert np.shares_memory(make(x), x.numpy())
        assert np.shares_memory(make(x.T), x.numpy())
    for make in (np.array, np.copy, lambda x: np.array(x, copy=True), lambda x: np.asarray(x, copy=True)):
        assert not np.shares_memory(make(x), x.numpy())
        np.testing.assert_array_equal(make(x), x.numpy())


@pytest.mark.parametrize("dtype", ["float64", np.int32, float, bool, ">f4", np.dtype("float16")])
def test_another_dtype(dtype):
    x = sample(2, 3)
    for make in (np.asarray, np.array):
        found = make(x, dtype)
        assert found.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found, x.numpy().astype(dtype))
        assert not np.shares_memory(found, x.numpy())
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype, copy=False)
    assert np.shares_memory(np.asarray(x, np.float32, copy=False), x.numpy())


def test_a_graph_notices_a_change_of_the_array():
    x = sample(3).requires_grad_()
    w = sample(3)
    array = np.asarray(w)
    y = (x * w).sum()
    array[0] = 100
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    y = (x * w).sum()
    np.array(w)[0] = 5
    y.backward()
    assert x.grad[0].item() == 100


def test_a_tensor_that_requires_a_gradient_refuses():
    with pytest.raises(RuntimeError, match=r"numpy\(\): this tensor requires grad; use tensor.detach\(\).numpy\(\)"):
        np.asarray(sample(2).requires_grad_())


def test_force():
    x = sample(2, 3).requires_grad_()
    assert np.shares_memory(x.numpy(force=True), x.detach().numpy())
    with pytest.raises(RuntimeError):
        x.numpy(force=False)


def test_read_only_memory_stays_so():
    assert not np.asarray(sample(1, 3).expand(2, 3)).flags.writeable


def test_where_programs_give_tensors_for_arrays():
    x = sample(4, 3)
    np.testing.assert_allclose(x, x.numpy())
    np.testing.assert_array_equal(x[0], x.numpy()[0])
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(x + 1, x)
    assert np.concatenate([x, x]).shape == (8, 3)
    assert np.stack([x[0], x[1]]).shape == (2, 3)
    assert np.array([x[0, 0], x[0, 1]]).shape == (2,)
    array = np.zeros((4, 3), np.float32)
    array[:] = x
    array[0] = x[1]
    assert array[0].tolist() == x[1].tolist()
    assert (float(x[0, 0]), int(tinycnn.tensor(3.7)), bool(x[0, 0])) == (x[0, 0].item(), 3, True)
    assert math.sqrt(tinycnn.tensor(4.0)) == 2
    assert [10, 20, 30][tinycnn.tensor(1)] == 20
    assert f"{tinycnn.tensor(2.5):.2f}" == "2.50"


def test_plots(tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    x = sample(8, 8)
    axes = Figure().subplots(2, 2)
    (line,) = axes[0, 0].plot(x[0])
    np.testing.assert_array_equal(line.get_ydata(), x[0].numpy())
    axes[0, 1].scatter(x[0], x[1], c=x[2])
    axes[1, 0].hist(x.flatten())
    shown = axes[1, 1].imshow(x)
    np.testing.assert_array_equal(shown.get_array(), x.numpy())
    axes[1, 1].get_figure().savefig(tmp_path / "a.png")


# --- from_numpy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [
    lambda a: a, lambda a: a.T, lambda a: a[::-1, ::-2], lambda a: a[1:2, 1], lambda a: np.array(5.0), lambda a: a[:0],
    lambda a: np.broadcast_to(a[0], (5, 4)), lambda a: a[:, 1:3],
], ids=range(8))  # fmt: skip
def test_from_numpy_of_every_layout_shares_memory(layout):
    array = layout(np.arange(12.0).reshape(3, 4))
    x = tinycnn.from_numpy(array)
    assert (x.shape, x.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(x.numpy(), array)
    assert array.size == 0 or np.shares_memory(x.numpy(), array)
    np.testing.assert_array_equal((x * 2 + 1).sum().numpy(), (array * 2 + 1).sum())


def test_from_numpy_of_a_read_only_array_is_read_only():
    array = np.arange(3.0)
    array.flags.writeable = False
    x = tinycnn.from_numpy(array)
    assert (x + 1).tolist() == [1, 2, 3]
    for change in (lambda: x.zero_(), lambda: x.__setitem__(0, 1), lambda: x.add_(1)):
        with pytest.raises(RuntimeError):
            change()
    assert not x.numpy().flags.writeable
    assert array.tolist() == [0, 1, 2]


@pytest.mark.parametrize("array", [
    np.arange(3, dtype=">f4"), np.arange(3, dtype=">i2"), np.ones(2, np.complex64), np.array(["a"]),
    np.array([None]), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")]),
], ids=str)  # fmt: skip
def test_from_numpy_of_what_no_tensor_can_hold(array):
    with pytest.raises(TypeError, match=r"^dtype: expected a boolean, integer or [^\n]*, got [^\n]*\Z"):
        tinycnn.from_numpy(array)


@pytest.mark.torch
def test_from_numpy_refuses_what_torch_refuses():
    torch = pytest.importorskip("torch")
    for bad in (np.arange(3, dtype=">f4"), np.array(["a"]), [1.0], np.float32(1), 3):
        for make in (torch.from_numpy, tinycnn.from_numpy):
            with pytest.raises((TypeError, ValueError)):
                make(bad)
