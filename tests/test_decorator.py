"""The decorators of operators: NumPy's names of arguments, and errors in a function's own name."""

import inspect

import pytest

import tinycnn
from tinycnn._decorator import composed, numpy_names


def functions_with_dim():
    every = [getattr(tinycnn, name) for name in tinycnn.__all__] + list(vars(tinycnn.Tensor).values())
    found = {f for f in every if inspect.isfunction(f) and f.__module__.startswith("tinycnn.ops.")}
    return sorted((f for f in found if "dim" in inspect.signature(f).parameters), key=lambda f: f.__name__)


@pytest.mark.parametrize("function", functions_with_dim(), ids=lambda f: f.__name__)
def test_whatever_takes_dim_takes_axis(function):
    """Up to the check of the argument, which names what came."""
    others = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.name != "dim"]
    given = {p.name: tinycnn.ones(2, 2) if p.name == "input" else 1 for p in others}
    given |= {"tensors": [tinycnn.ones(2)]} if "tensors" in given else {}
    given |= {"other": tinycnn.ones(2)} if "other" in given else {}
    for name in ("dim", "axis"):
        with pytest.raises((TypeError, ValueError, IndexError)) as error:
            function(**given, **{name: "text"})
        assert "unexpected keyword" not in str(error.value)


def test_there_are_many_of_them():
    assert len(functions_with_dim()) > 35


def test_names_of_numpy():
    @numpy_names
    def shown(x, dim=0, keepdim=False):
        return x, dim, keepdim

    assert shown(1, axis=2, keepdims=True) == shown(1, 2, True) == (1, 2, True)
    with pytest.raises(TypeError, match="multiple values for argument 'dim'"):
        shown(1, 2, axis=3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'axis'"):
        shown(1, dim=2, axis=3)


def test_errors_in_the_name_of_the_function():
    @composed
    def outer(error):
        raise error

    with pytest.raises(ValueError, match=r"^outer: inner: expected 1$"):
        outer(ValueError("inner: expected 1"))
    with pytest.raises(ValueError, match=r"^outer: expected 1$"):
        outer(ValueError("outer: expected 1"))
    with pytest.raises(TypeError, match=r"^outer\(\) missing"):
        outer(TypeError("outer() missing 1 argument"))
    with pytest.raises(KeyError):
        outer(KeyError("a"))
