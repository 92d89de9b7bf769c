"""Pictures side by side, and as files; torchvision.utils has the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinycnn._files import StrPath, checked_path
from tinycnn.autograd import no_grad
from tinycnn.checks import check_count, check_flag, check_number, check_positive, shortened
from tinycnn.creation import full
from tinycnn.data.transforms.convert import pil_to_tensor
from tinycnn.data.transforms.pictures import pillow
from tinycnn.ops.shape import stack
from tinycnn.tensor import Tensor


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor], nrow: int = 8, padding: int = 2, normalize: bool = False,
    value_range: tuple[float, float] | None = None, scale_each: bool = False, pad_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """One picture (C, OH, OW) of all pictures, in rows of `nrow`; grey ones get three channels.

    Args:
        tensor: (N, C, H, W), (C, H, W) or (H, W), or a list of Tensors of one shape. A single picture stays as it is.
        nrow: pictures in a row. Default 8.
        padding: pixels between the pictures and around them. Default 2.
        normalize: shift and scale to [0, 1]. Default False.
        value_range: (low, high), what becomes 0 and 1. Default None: the least and the largest value.
        scale_each: by the values of each picture, not of all. Default False.
        pad_value: the value between the pictures. Default 0.

    Raises TypeError for what are no Tensors, ValueError for other dimensions.
    """
    name = "make_grid"
    if isinstance(tensor, (list, tuple)) and tensor and all(isinstance(each, Tensor) for each in tensor):
        tensor = stack(tensor)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a Tensor or a list of Tensors, got {shortened(tensor)}")
    check_positive(name, "nrow", nrow)
    check_count(name, "padding", padding)
    check_number(name, "pad_value", pad_value)
    if tensor.ndim not in (2, 3, 4):
        raise ValueError(f"{name}: expected (N, C, H, W), (C, H, W) or (H, W), got shape {tuple(tensor.shape)}")
    x = tensor.reshape((1,) * (4 - tensor.ndim) + tuple(tensor.shape))
    if x.shape[1] == 1:
        x = x.expand(x.shape[0], 3, *x.shape[2:])
    if check_flag(name, "normalize", normalize):
        x = _normalized(x, value_range, check_flag(name, "scale_each", scale_each))
    N, C, H, W = x.shape
    if N == 1:
        return x[0].clone()
    columns = min(nrow, N)
    rows = -(-N // columns)
    size = (C, padding + rows * (H + padding), padding + columns * (W + padding))
    grid = full(size, float(pad_value), dtype=x.dtype, device=x.device)
    for i in range(N):
        top, left = (padding + place * (step + padding) for place, step in zip(divmod(i, columns), (H, W), strict=True))
        grid[:, top : top + H, left : left + W] = x[i]
    return grid


def _normalized(x: Tensor, value_range: tuple[float, float] | None, scale_each: bool) -> Tensor:
    if value_range is not None and not (isinstance(value_range, tuple) and len(value_range) == 2):
        raise TypeError(f"make_grid: expected value_range as a tuple (low, high), got {shortened(value_range)}")
    if scale_each:
        return stack([_normalized(picture, value_range, False) for picture in x])
    low, high = (x.min().item(), x.max().item()) if value_range is None else value_range
    return (x.clamp(low, high) - low) / max(high - low, 1e-5)


@no_grad()
def save_image(tensor: Tensor | Sequence[Tensor], fp: StrPath | Any, format: str | None = None, **kwargs: Any) -> None:
    """Writes pictures with values in [0, 1] as one image file: the `make_grid` of them.

    Args:
        fp: a path, whose ending is the format, or a file.
        format: the format. Default None: by the ending. A file needs one.
        **kwargs: arguments of `make_grid`.

    Raises ImportError without Pillow, ValueError for a format that Pillow does not know, OSError for a file that cannot
    be written.
    """
    if not hasattr(fp, "write"):
        fp = checked_path("save_image", "fp", fp)
    if format is not None and not isinstance(format, str):
        raise TypeError(f"save_image: expected format as a str or None, got {shortened(format)}")
    grid = make_grid(tensor, **kwargs)
    pixels = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).to("cpu").to("uint8")
    name = fp if isinstance(fp, str) else shortened(fp)
    try:
        pillow("save_image").fromarray(pixels.numpy()).save(fp, format=format)
    except (KeyError, ValueError) as error:  # of Pillow, for a format
        raise ValueError(f"save_image: cannot write {name} in format {format!r}: {error}") from None
    except OSError as error:
        raise OSError(f"save_image: cannot write {name}: {error.strerror or error}") from None


def read_image(path: StrPath) -> Tensor:
    """An image file as a Tensor (C, H, W) uint8, in the file's own mode; palettes become colours.

    ImportError without Pillow, OSError for a file that is missing or no image.
    """
    text = checked_path("read_image", "path", path)
    try:
        with pillow("read_image").open(text) as image:
            return pil_to_tensor(image.convert("RGB") if image.mode == "P" else image)
    except OSError as error:
        raise type(error)(f"read_image: cannot read {text}: {error.strerror or 'it is no image'}") from None
