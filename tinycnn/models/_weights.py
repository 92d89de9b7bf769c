"""The arguments by which torchvision's nets are asked for weights: here they come from a file."""

from __future__ import annotations

from typing import Any


def refuse_download(name: str, weights: Any, options: dict[str, Any]) -> None:
    """ValueError for weights that torchvision would download; `pretrained`, its former argument, is taken out of
    `options`, and so is `progress`."""
    options.pop("progress", None)
    if weights is not None or options.pop("pretrained", False):
        raise ValueError(
            f"{name}: nothing is downloaded here; save torchvision's weights to a file, then use "
            f"model.load_state_dict(tinycnn.load(file))"
        )
