"""The same transforms in tinycnn and in torchvision, on made-up pictures: each case is a name and a function.

`tests/fixtures/record_transforms.py` records what torchvision gives, and `test_torchvision.py` compares.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

SIZES = 8, 20, (7, 9), (20, 5), [10]
MODES = "NEAREST", "BILINEAR", "BICUBIC", "NEAREST_EXACT"
Case = tuple[str, Callable[[], Any]]


def pictures(tensor: Callable, Image: Any) -> dict[str, Any]:
    """PIL images by their mode, Tensors of floats (3, 13, 17) and (2, 3, 13, 17), and one of bytes."""
    rng = np.random.default_rng(0)
    rgb, grey = rng.integers(0, 256, (13, 17, 3), np.uint8), rng.integers(0, 256, (14, 11), np.uint8)
    return {
        "RGB": Image.fromarray(rgb),
        "L": Image.fromarray(grey),
        "RGBA": Image.fromarray(rng.integers(0, 256, (9, 8, 4), np.uint8)),
        "F": Image.fromarray(rng.standard_normal((6, 7)).astype(np.float32)),
        "1": Image.fromarray(rng.integers(0, 2, (5, 6)).astype(bool)),
        "floats": tensor(rng.random((3, 13, 17), np.float32)),
        "batch": tensor(rng.random((2, 3, 13, 17), np.float32)),
        "bytes": tensor(np.ascontiguousarray(rgb.transpose(2, 0, 1))),
    }


def cases(T: Any, make_grid: Callable, save_image: Callable, tensor: Callable, dtype: Callable) -> Iterator[Case]:
    """Of a library: its module of transforms, two functions, the functions that make a Tensor and find a dtype."""
    from PIL import Image

    x = pictures(tensor, Image)
    for mode in ("RGB", "L", "RGBA", "F", "1"):
        yield f"ToTensor {mode}", lambda mode=mode: T.ToTensor()(x[mode])
        yield f"PILToTensor {mode}", lambda mode=mode: T.PILToTensor()(x[mode])
    for kind in (np.uint8, np.float64):
        yield f"ToTensor {kind.__name__}", lambda kind=kind: T.ToTensor()(np.asarray(x["RGB"]).astype(kind))
    yield "ToTensor of (H, W)", lambda: T.ToTensor()(np.asarray(x["L"]))
    yield "Normalize", lambda: T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))(x["floats"])
    yield "Normalize by one", lambda: T.Normalize((0.5,), (0.3,))(x["batch"])
    yield "Compose", lambda: T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])(x["L"])
    yield "ToPILImage floats", lambda: T.ToPILImage()(x["floats"])
    yield "ToPILImage bytes", lambda: T.ToPILImage()(x["bytes"])
    yield "ToPILImage array", lambda: T.ToPILImage()(np.asarray(x["L"]))
    yield "ToPILImage YCbCr", lambda: T.functional.to_pil_image(np.asarray(x["RGB"]), "YCbCr")
    for kind, to in product(("bytes", "floats"), ("uint8", "int16", "float32", "float64")):
        yield f"ConvertImageDtype {kind} {to}", lambda kind=kind, to=to: T.ConvertImageDtype(dtype(to))(x[kind])
    for kind in ("RGB", "L", "floats", "batch", "bytes"):
        yield from _of_one(kind, x[kind], T, T.functional)
    yield "erase", lambda: T.functional.erase(x["floats"], 2, 3, 4, 5, tensor(np.full((1, 1, 1), 2.0, np.float32)))
    yield from _grids(make_grid, save_image, tensor)


def _of_one(kind: str, img: Any, T: Any, F: Any) -> Iterator[Case]:
    is_pil, modes = kind in ("RGB", "L"), T.InterpolationMode
    for size, mode in product(SIZES, MODES):
        options = [{}] if is_pil or mode[0] != "B" else [{}, {"antialias": False}]
        for more in options:
            yield f"resize {kind} {size} {mode} {more}", partial(F.resize, img, size, getattr(modes, mode), **more)
    yield f"resize {kind} max_size", lambda: F.resize(img, 8, max_size=9)
    for size in (5, (6, 7), 15, (20, 9), 30):
        yield f"center_crop {kind} {size}", lambda size=size: F.center_crop(img, size)
    fill = 0.5 if kind in ("floats", "batch") else 7
    for padding, mode in product((2, (1, 3), (1, 2, 3, 4)), ("constant", "edge", "reflect", "symmetric")):
        yield f"pad {kind} {padding} {mode}", lambda p=padding, m=mode: F.pad(img, p, fill if m == "constant" else 0, m)
    yield f"crop {kind}", lambda: F.crop(img, 2, 3, 5, 6)
    yield f"crop {kind} beyond", lambda: F.crop(img, -2, 8, 9, 12)
    yield f"resized_crop {kind}", lambda: F.resized_crop(img, 1, 2, 9, 8, (6, 7))
    yield f"hflip {kind}", lambda: F.hflip(img)
    yield f"vflip {kind}", lambda: F.vflip(img)
    for i in range(5):
        yield f"five_crop {kind} {i}", lambda i=i: F.five_crop(img, 6)[i]
    for i in range(10):
        yield f"ten_crop {kind} {i}", lambda i=i: F.ten_crop(img, (6, 5), True)[i]
    for angle, mode, expand in product((30, -75.5, 90, 180), ("NEAREST", "BILINEAR"), (False, True)):
        yield f"rotate {kind} {angle} {mode} {expand}", partial(F.rotate, img, angle, getattr(modes, mode), expand)
    yield f"rotate {kind} about a point", lambda: F.rotate(img, 20, center=[3, 4], fill=[3])
    for mode in ("NEAREST", "BILINEAR"):
        mode = getattr(modes, mode)
        yield f"affine {kind} {mode}", lambda mode=mode: F.affine(img, 25, [2, -1], 1.2, [10, 5], mode)
        yield f"affine {kind} {mode} fill", lambda m=mode: F.affine(img, 25, [2, -1], 0.7, [10], m, fill=[fill])
    if kind != "L":
        for channels in (1, 3):
            yield f"rgb_to_grayscale {kind} {channels}", lambda c=channels: F.rgb_to_grayscale(img, c)
    for name, factor in product(("brightness", "contrast", "saturation", "gamma"), (0.5, 1.7)):
        yield f"adjust_{name} {kind} {factor}", lambda n=name, f=factor: getattr(F, f"adjust_{n}")(img, f)
    for factor in (0.2, -0.4):
        yield f"adjust_hue {kind} {factor}", lambda f=factor: F.adjust_hue(img, f)
    yield f"invert {kind}", lambda: F.invert(img)
    yield f"gaussian_blur {kind}", lambda: F.gaussian_blur(img, [3, 5], [0.8, 1.5])
    yield f"gaussian_blur {kind} 5", lambda: F.gaussian_blur(img, 5)


def _grids(make_grid: Callable, save_image: Callable, tensor: Callable) -> Iterator[Case]:
    rng = np.random.default_rng(1)
    x = tensor(rng.standard_normal((7, 3, 5, 6)).astype(np.float32))
    grey, some = tensor(rng.random((4, 1, 5, 6), np.float32)), tensor(rng.integers(0, 255, (5, 3, 4, 6), np.uint8))
    each: list[tuple[Any, dict]] = [
        (x, {}), (x, {"nrow": 3, "padding": 1}), (x, {"normalize": True}), (x, {"pad_value": 0.5, "padding": 4}),
        (x, {"normalize": True, "value_range": (-1, 1)}), (x, {"normalize": True, "scale_each": True}),
        (x, {"padding": 0}), (grey, {}), (grey[0], {}), (grey[0, 0], {}), (x[0], {"normalize": True}), (x[:1], {}),
        ([x[0], x[1], x[2]], {"nrow": 2}),
    ]  # fmt: skip
    for i, (pictures, options) in enumerate(each):
        yield f"make_grid {i}", lambda p=pictures, o=options: make_grid(p, **o)
        yield f"save_image {i}", lambda p=pictures, o=options: saved(save_image, p, o)
    yield "make_grid of bytes", lambda: make_grid(some)


def saved(save_image: Callable, pictures: Any, options: dict) -> Any:
    """The PIL image that `save_image` writes."""
    from PIL import Image

    file = io.BytesIO()
    save_image(pictures, file, format="png", **options)
    file.seek(0)
    return Image.open(file)


def array_of(result: Any) -> np.ndarray:
    """A PIL image, a Tensor of either library, as an array."""
    return np.array(result) if hasattr(result, "getbands") else np.array(result.numpy())
