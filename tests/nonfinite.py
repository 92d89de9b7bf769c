"""Infinities and nan put into the inputs and the upstream gradients of every row of the operator table.

`run(case, lib, what, where)` gives the outputs, gradients and second gradients by name, with tinycnn or torch as `lib`.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from tests.layers import LayerCase, state_of
from tests.operators import OpCase, gradients

VALUES = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
PLACES = ("input", "upstream")


class Spoiled:
    """A source of random upstream gradients, the first of which holds `value` somewhere."""

    def __init__(self, rng: np.random.Generator, value: float):
        self.rng, self.value = rng, value

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        drawn, value = np.array(self.rng.standard_normal(shape)), self.value
        self.value = None
        return drawn if value is None else spoil(drawn, value, self.rng)


def spoil(x: np.ndarray, value: float, rng: np.random.Generator) -> np.ndarray:
    """A copy of x with `value` in one place."""
    x = x.copy()
    if x.size:
        x.reshape(-1)[rng.integers(x.size)] = value
    return x


def run(case: OpCase, lib: Any, what: str, where: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(zlib.crc32(f"{case.name} {what} {where}".encode()))
    arrays = case.inputs()
    if where == "input":
        arrays = [spoil(a, VALUES[what], rng) if a.dtype.kind == "f" else a for a in arrays]
    inputs = [lib.tensor(a) for a in arrays]
    inputs = [x.requires_grad_() if a.dtype.kind == "f" else x for a, x in zip(arrays, inputs)]
    outputs = case.run(lib, inputs)
    found = {f"output{i}": y for i, y in enumerate(outputs)}
    found |= gradients(case, lib, inputs, outputs, Spoiled(rng, VALUES[what]) if where == "upstream" else rng)
    return {name: y.detach().numpy(**({"force": True} if lib.__name__ == "torch" else {})) for name, y in found.items()}


def kinds(x: np.ndarray) -> np.ndarray:
    """For each element 0 if it is finite, 1 for +inf, 2 for -inf, 3 for nan."""
    if x.dtype.kind != "f":
        return np.zeros(x.shape, np.uint8)
    return np.select([np.isnan(x), x == np.inf, x == -np.inf], [3, 1, 2], 0).astype(np.uint8)


def run_layer(case: LayerCase, lib: Any, what: str, where: str) -> dict[str, np.ndarray]:
    """The output of a layer and the gradients of its input and parameters."""
    rng = np.random.default_rng(zlib.crc32(f"{case.name} {what} {where}".encode()))
    module = case.build(lib.nn).double()
    module.load_state_dict({key: lib.tensor(value) for key, value in state_of(module, rng).items()})
    array = rng.standard_normal(case.input)
    x = lib.tensor(spoil(array, VALUES[what], rng) if where == "input" else array, requires_grad=True)
    y = module(x, *[lib.tensor(sampler(rng)) for sampler in case.others])
    upstream = rng.standard_normal(tuple(y.shape))
    y.backward(lib.tensor(spoil(upstream, VALUES[what], rng) if where == "upstream" else upstream))
    found = {"output": y, "first": x.grad}
    found |= {f"first of {name}": parameter.grad for name, parameter in module.named_parameters()}
    return {name: value.detach().numpy() for name, value in found.items()}
