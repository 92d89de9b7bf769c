"""The nets by name: how a net gets its name, and how it is found and built by it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import filter as matching
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

from tinycnn import nn, no_grad, zeros
from tinycnn.checks import check_positive, shortened

__all__ = ["get_model", "get_model_builder", "list_models", "model_for"]

Net = TypeVar("Net", bound=nn.Module)

_BUILDERS: dict[str, Callable[..., Any]] = {}


def register_model(build: Callable[..., Net]) -> Callable[..., Net]:
    """Decorates a function that builds a net from `options`, those of the net's class: the function's name becomes that
    of the net. Weights, which torchvision's functions of these names download, are refused."""
    name = build.__name__

    @functools.wraps(build)
    def builder(*, weights: None = None, progress: bool = True, pretrained: bool = False, **options: Any) -> Net:
        if weights is not None or pretrained:
            raise ValueError(
                f"{name}: nothing is downloaded here; save torchvision's weights to a file, then use "
                f"model.load_state_dict(tinycnn.load(file))"
            )
        return build(**options)

    _BUILDERS[name] = builder
    return builder


def list_models(
    module: ModuleType | None = None, include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:  # fmt: skip
    """The names of the nets, sorted.

    Args:
        module: the package whose nets are listed; `tinycnn.models` has all. Default None: all.
        include: a pattern of names or several, such as "resnet*". Default None: every name.
        exclude: a pattern or several of names that are left out. Default None.
    """
    names = {n for n, build in _BUILDERS.items() if module is None or _package(build) == module.__name__}
    if include:
        names = {name for pattern in _patterns(include) for name in matching(names, pattern)}
    for pattern in _patterns(exclude or ()):
        names -= set(matching(names, pattern))
    return sorted(names)


def _package(build: Callable[..., Any]) -> str:
    return build.__module__.rpartition(".")[0]


def _patterns(patterns: Iterable[str] | str) -> Iterable[str]:
    return [patterns] if isinstance(patterns, str) else patterns


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds the net `name`, in whatever case. TypeError unless it is a str, ValueError for an
    unknown one, with the names next to it."""
    if not isinstance(name, str):
        raise TypeError(f"models: expected the name of a net, got {shortened(name)} ({type(name).__name__})")
    if name.lower() not in _BUILDERS:
        nearest = ", ".join(get_close_matches(name.lower(), _BUILDERS))
        hint = f"the nearest are {nearest}" if nearest else "list_models() has the names"
        raise ValueError(f"models: there is no net {shortened(name)}; {hint}")
    return _BUILDERS[name.lower()]


def get_model(name: str, **config: Any) -> nn.Module:
    """The net `name`, built with the options `config`: `get_model("resnet18", num_classes=10)`. Errors: see
    `get_model_builder`; ValueError for `weights`: nothing is downloaded."""
    return get_model_builder(name)(**config)


def model_for(name: str, image_shape: Sequence[int], num_classes: int, **options: Any) -> nn.Module:
    """The net `name` for given pictures, in training mode.

    Args:
        name: one of `list_models()`.
        image_shape: (C, H, W) of a picture. Nets that have options `in_channels` and `image_size` get them from here.
        num_classes: number of scores.
        options: further ones of the net.

    Raises ValueError for an unknown name, an unknown option, and pictures that the net cannot take, which is found out
    by showing it one.
    """
    builder = get_model_builder(name)
    if len(image_shape) != 3:
        raise ValueError(f"model_for: expected image_shape (C, H, W), got {shortened(image_shape)}")
    channels, height, width = (check_positive("model_for", "image_shape", size) for size in image_shape)
    known = _options(builder)
    of_pictures = {"in_channels": channels, "image_size": height}
    given = {key: value for key, value in of_pictures.items() if key in known}
    given["num_classes"] = check_positive("model_for", "num_classes", num_classes)
    if "image_size" in given and height != width:
        raise ValueError(f"model_for: {name} takes square pictures, got (C, H, W) = {(channels, height, width)}")
    others = [option for option in known if option not in given]
    for option in options:
        if option not in others:
            has = f"it has {', '.join(others)}" if others else "it has none"
            raise ValueError(f"model_for: {name} has no option {shortened(option)}; {has}")

    model = builder(**given, **options).eval()
    try:
        with no_grad():
            model(zeros(1, channels, height, width))
    except ValueError as error:
        pictures = f"pictures (C, H, W) = {(channels, height, width)}"
        raise ValueError(f"model_for: {name} does not take {pictures}: {error}") from None
    return model.train()


def _options(builder: Callable[..., nn.Module]) -> list[str]:
    """The names of the options of a net: the arguments of its class that have a default."""
    net = get_type_hints(builder)["return"]
    return [p.name for p in inspect.signature(net).parameters.values() if p.default is not p.empty]
