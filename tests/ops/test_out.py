"""The argument `out=` of functions: what it is given, and its limits."""

import pickle

import pytest

import tinycnn
from tinycnn import empty, int64, ones, zeros
from tinycnn.ops import out


@pytest.mark.parametrize("name", out.NAMES)
def test_the_functions_that_take_it_are_found_where_they_say(name):
    function = getattr(tinycnn, name)
    assert pickle.loads(pickle.dumps(function)) is function
    with pytest.raises(TypeError, match=f"^{name}: expected out as a Tensor, or as one for each result, got 3$"):
        function(ones(2), out=3)


def test_a_view_is_written_through():
    x = zeros(2, 3)
    assert tinycnn.add(ones(3), 1, out=x[1]).tolist() == [2, 2, 2]
    assert x.tolist() == [[0, 0, 0], [2, 2, 2]]


def test_it_may_be_an_operand():
    x = ones(2, 2)
    tinycnn.matmul(x, x, out=x)
    assert x.tolist() == [[2, 2], [2, 2]]


def test_a_change_is_noticed_by_a_graph_that_needs_the_former_values():
    w, x = ones(2, requires_grad=True), ones(2)
    y = (w * x).sum()
    tinycnn.mul(x, 2, out=x)
    with pytest.raises(RuntimeError, match="changed"):
        y.backward()


def test_an_empty_one_gets_the_shape_and_keeps_its_dtype():
    x = empty(0, dtype=tinycnn.float64)
    assert tinycnn.stack([ones(2), ones(2)], out=x) is x
    assert (x.shape, x.dtype) == ((2, 2), tinycnn.float64)


def test_results_by_name():
    values, places = empty(2), empty(2, dtype=int64)
    found = tinycnn.sort(tinycnn.tensor([3.0, 1.0]), out=(values, places))
    assert found.values is values
    assert found.indices is places
    assert (values.tolist(), places.tolist()) == ([1, 3], [1, 0])


def test_new_tensors_have_its_dtype():
    assert tinycnn.arange(3, out=empty(3)).dtype == tinycnn.float32
    assert tinycnn.ones(3, out=empty(3, dtype=int64)).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: tinycnn.add(ones(2), 1, out=ones(3)), ValueError, "add: out has shape (3,), but the result has"),
        (lambda: tinycnn.add(ones(2), 1, out=empty(2, dtype=int64)), TypeError, "add: out is int64, but the result is"),
        (lambda: tinycnn.max(ones(2, 2), 1, out=empty(2)), ValueError, "max: expected out as 2 Tensor(s), got 1"),
        (lambda: tinycnn.sum(ones(2), out=(empty(1), 3)), TypeError, "sum: expected out as a Tensor, or as one"),
        (lambda: tinycnn.exp(ones(2, requires_grad=True), out=empty(2)), RuntimeError, "exp: out= takes no part"),
        (lambda: tinycnn.exp(ones(2), out=ones(2, requires_grad=True)), RuntimeError, "exp: out= takes no part"),
        (lambda: tinycnn.cat([ones(1, requires_grad=True)], out=empty(1)), RuntimeError, "cat: out= takes no part"),
        (lambda: tinycnn.add(ones(2), other=ones(2, requires_grad=True), out=empty(2)), RuntimeError, "add: out="),
    ],
)
def test_what_it_refuses(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(words)


def test_without_gradients_any_tensor_is_written():
    w = ones(2, requires_grad=True)
    with tinycnn.no_grad():
        tinycnn.mul(w, 3, out=w)
    assert w.tolist() == [3, 3]
    assert w.requires_grad
