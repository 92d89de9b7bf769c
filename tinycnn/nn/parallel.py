"""Wrappers by which torch spreads a model over devices."""

from __future__ import annotations

from typing import Any

from tinycnn.nn.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Wraps `module`, which runs on the device where it lies; keys of the state have the prefix "module.", as in torch.

    Args:
        module: the model.
        device_ids, output_device, dim: taken as in torch; a batch is not divided.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0):
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"DataParallel: expected module as a Module, got {type(module).__name__}")
        self.module = module
        self.device_ids = device_ids

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)
