"""The fully connected layer."""

from __future__ import annotations

from typing import Any

from tinycnn import creation
from tinycnn.nn import init
from tinycnn.nn.functional.arguments import sizes
from tinycnn.nn.functional.linear import linear
from tinycnn.nn.module import Module, Parameter
from tinycnn.tensor import Tensor


class Linear(Module):
    """y = x · weightᵀ + bias: (*, in_features) to (*, out_features).

    weight is (out_features, in_features), bias (out_features) or None; both start uniform on ±1 / √in_features.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        (self.in_features,) = sizes(in_features, 1, "Linear", "in_features", least=0)
        (self.out_features,) = sizes(out_features, 1, "Linear", "out_features", least=0)
        make = {"device": device, "dtype": dtype}
        self.weight = Parameter(creation.empty(self.out_features, self.in_features, **make))
        self.register_parameter("bias", Parameter(creation.empty(self.out_features, **make)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.layer_default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias, name=f"Linear(in_features={self.in_features})")

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
