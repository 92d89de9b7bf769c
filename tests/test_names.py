"""The public names: where they are listed, and that an operator has one definition wherever users find it."""

import ast
import inspect
from pathlib import Path

import pytest

import tinycnn
from tinycnn import Tensor, backend, data, models, nn, optim, training
from tinycnn.nn import functional as F
from tinycnn.ops import out

PACKAGE = Path(tinycnn.__file__).parent
OPERATORS = sorted((PACKAGE / "ops").glob("*.py"))

# Methods whose arguments come in another order than the function's, as in torch.
OTHER_SIGNATURE = {"where"}


@pytest.mark.parametrize(
    "module", [tinycnn, nn, optim, data, models, training, backend], ids=lambda module: module.__name__
)
def test_all_is_what_there_is(module):
    assert len(module.__all__) == len(set(module.__all__))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_all_lists_every_name_of_the_package_itself():
    """A function or class that `tinycnn` shows and that is ours is public, or begins with an underscore."""
    shown = {
        name
        for name, value in vars(tinycnn).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("tinycnn")
    }
    assert shown - set(tinycnn.__all__) == set()


@pytest.mark.parametrize("path", OPERATORS, ids=lambda path: path.stem)
def test_public_operators_are_listed_where_they_are_defined(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    defined |= {name.id for name in ast.walk(tree) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    listed = [
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]
    assert set(listed) <= defined
    assert [name for name in listed if name not in tinycnn.__all__] == []


def operator(name):
    """The function of this name, beneath its argument `out`."""
    function = getattr(tinycnn, name)
    return function.__wrapped__ if name in out.NAMES else function


def operators_with_methods():
    own = (getattr(tinycnn, name) for name in tinycnn.__all__)
    functions = [f for f in own if inspect.isfunction(f) and f.__module__.startswith("tinycnn.ops.")]
    functions += [operator(name) for name in out.NAMES]
    return [f for f in functions if hasattr(Tensor, f.__name__) and f.__name__ not in OTHER_SIGNATURE]


def test_there_are_many_operators_with_methods():
    assert len(operators_with_methods()) > 70


@pytest.mark.parametrize("function", operators_with_methods(), ids=lambda function: function.__name__)
def test_function_and_method_are_one(function):
    assert getattr(Tensor, function.__name__) is function
    assert function.__doc__


@pytest.mark.parametrize("name", ["relu_", "sigmoid", "tanh"])
def test_function_and_functional_are_one(name):
    assert getattr(F, name) is operator(name) is getattr(Tensor, name)


@pytest.mark.parametrize("symbol", ["add", "sub", "mul", "pow", "matmul", "neg", "and", "or", "xor"])
def test_symbols_are_the_functions(symbol):
    name = f"bitwise_{symbol}" if symbol in ("and", "or", "xor") else symbol
    assert getattr(Tensor, f"__{symbol}__") is operator(name)


def test_help_shows_signature_and_meaning():
    assert str(inspect.signature(tinycnn.sum)).startswith("(input: 'Tensor', dim: 'Dims' = None, keepdim: 'bool'")
    assert inspect.getdoc(Tensor.sum) == inspect.getdoc(tinycnn.sum)
