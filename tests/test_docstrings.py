"""Every public name has a docstring of its own and a typed signature; a failure lists the names that lack one."""

import importlib
import inspect
import sys
import types
from typing import Any

import pytest

# Where users find the names: `__all__` where there is one, else the names without an underscore.
NAMESPACES = [
    "tinycnn", "tinycnn.nn", "tinycnn.nn.functional", "tinycnn.nn.utils", "tinycnn.optim", "tinycnn.data",
    "tinycnn.data.transforms", "tinycnn.data.transforms.functional",
    "tinycnn.models", "tinycnn.training", "tinycnn.amp", "tinycnn.interop.onnx", "tinycnn.teaching.explain",
    "tinycnn.teaching.grade",
]  # fmt: skip

# Modules of which only what they define counts.
MODULES = [
    "tinycnn.nn.init", "tinycnn.optim.lr_scheduler", "tinycnn.cuda", "tinycnn.creation", "tinycnn.dtypes",
    "tinycnn.serialization", "tinycnn.cli", "tinycnn.diagnostics.anomaly", "tinycnn.diagnostics.gradcheck",
    "tinycnn.diagnostics.inspection", "tinycnn.diagnostics.shapes", "tinycnn.diagnostics.summary",
    "tinycnn.interop.onnx_export", "tinycnn.interop.onnx_import", "tinycnn.interop.onnx_record",
    "tinycnn.interop.onnx_functions", "tinycnn.teaching.reference", "tinycnn.training.results",
    "tinycnn.training.evaluation", "tinycnn.commands.completion", "tinycnn.commands.evaluate", "tinycnn.commands.new",
    "tinycnn.commands.pictures", "tinycnn.commands.predict", "tinycnn.commands.report", "tinycnn.commands.runs",
    "tinycnn.commands.summary",
]  # fmt: skip

# Methods that mean the same in every class: an override inherits the docstring of the base, whatever its parameters.
SAME_MEANING = {
    "forward": "the docstring of a layer says what it computes",
    "extra_repr": "the options that repr() shows",
}


def is_ours(value):
    return (getattr(value, "__module__", None) or "").split(".")[0] == "tinycnn"


def public_names(module):
    return getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]


def public_values(namespace):
    """(dotted name, function or class) for each one of the package that a namespace shows."""
    module = importlib.import_module(namespace)
    for name in public_names(module):
        value = getattr(module, name)
        if callable(value) and is_ours(value) and (namespace in NAMESPACES or value.__module__ == namespace):
            yield f"{namespace}.{name}", value


def function_of(attribute):
    """The function behind a method, static method, class method or property; None for any other attribute."""
    if isinstance(attribute, property):
        return attribute.fget
    attribute = getattr(attribute, "__func__", attribute)
    return attribute if isinstance(attribute, types.FunctionType) else None


def methods(name, cls):
    """(dotted name, class, function) for the public methods and properties that `cls` defines or overrides."""
    for key, attribute in vars(cls).items():
        function = function_of(attribute)
        if function is not None and not key.startswith("_"):
            yield f"{name}.{key}", key, function


def inherits(cls, key, function):
    """Whether an override keeps the meaning of a method of the package whose docstring it inherits."""
    for base in cls.__mro__[1:]:
        overridden = function_of(vars(base).get(key)) if is_ours(base) else None
        if overridden is not None and overridden.__doc__:
            same = list(inspect.signature(function).parameters) == list(inspect.signature(overridden).parameters)
            return same or key in SAME_MEANING
    return False


def without_docstring(namespace):
    for name, value in public_values(namespace):
        if not (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__):
            yield name
        if inspect.isclass(value):
            for dotted, key, method in methods(name, value):
                if not method.__doc__ and not inherits(value, key, method):
                    yield dotted


def untyped(name, function, is_method):
    """What the signature of a function lacks."""
    parameters = list(inspect.signature(function).parameters.values())
    if is_method and parameters and parameters[0].name in ("self", "cls"):
        del parameters[0]
    for parameter in parameters:
        if parameter.annotation is inspect.Parameter.empty:
            yield f"{name}: no type for {parameter.name}"
    variadic = parameters and parameters[0].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if parameters and not variadic and parameters[0].annotation in (Any, "Any"):
        yield f"{name}: Any for {parameters[0].name}"
    if inspect.signature(function).return_annotation is inspect.Signature.empty and not name.endswith(".__init__"):
        yield f"{name}: no type for the result"


def badly_typed(namespace):
    for name, value in public_values(namespace):
        if not inspect.isclass(value):
            yield from untyped(name, value, is_method=False)
            continue
        for special in ("__init__", "__call__"):
            if isinstance(vars(value).get(special), types.FunctionType):
                own = vars(value)[special]
                if is_ours(own) and own.__code__.co_filename != "<string>":  # not those that dataclass writes
                    yield from untyped(f"{name}.{special}", own, is_method=True)
        for dotted, _, method in methods(name, value):
            yield from untyped(dotted, method, is_method=True)


def fail_with(findings, complaint):
    if found := sorted(set(findings)):
        pytest.fail(f"{len(found)} {complaint}:\n" + "\n".join(found), pytrace=False)


@pytest.mark.parametrize("namespace", NAMESPACES + MODULES)
def test_public_names_have_docstrings(namespace):
    fail_with(without_docstring(namespace), "without a docstring of their own")


@pytest.mark.parametrize("namespace", NAMESPACES + MODULES)
def test_public_signatures_are_typed(namespace):
    fail_with(badly_typed(namespace), "types missing")


# --- the checks find what they should ----------------------------------------------------------------------


def test_a_missing_docstring_and_type_are_found(monkeypatch):
    class Base:
        """A base."""

        def scaled(self, factor: float) -> float:
            """A number."""

        def shown(self) -> str:
            """A text."""

    class Derived(Base):
        def scaled(self, times, offset: float) -> float: ...

        def shown(self) -> str: ...

        def alone(self, x: Any): ...

        @property
        def size(self) -> int: ...

    for cls in (Base, Derived):
        cls.__module__ = "tinycnn.planted"
    module = types.ModuleType("tinycnn.planted")
    module.Derived = Derived
    monkeypatch.setitem(sys.modules, "tinycnn.planted", module)
    found = [name.removeprefix("tinycnn.planted.") for name in without_docstring("tinycnn.planted")]
    assert found == ["Derived", "Derived.scaled", "Derived.alone", "Derived.size"]
    found = [name.removeprefix("tinycnn.planted.Derived.") for name in badly_typed("tinycnn.planted")]
    assert found == ["scaled: no type for times", "alone: Any for x", "alone: no type for the result"]
