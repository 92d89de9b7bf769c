"""Augmentation of batches of images: `backend/augmentation.py`, which says what each function does, on a GPU.

The draws are one launch, which also moves the generator's state on, and the pixels are another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from tinycnn.backend import augmentation
from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import NULL, launch
from tinycnn.backend.gpu.random import Generator

__all__ = augmentation.__all__

IMAGE = np.dtype("i4, i4, i4, i4")  # the structs of cuda/augment.cu and cuda/draws.cu
BATCH = np.dtype("i4, i4")
BOXES = np.dtype("i4, i4, f8, f8, f8, f8, f8")
MAPS = np.dtype("(12,)f8, f8, f8, i4, i4")

N_ONLY = (1, 0, 0, 0)
H_W_N = ((0, 0, 1, 0), (0, 0, 0, 1), N_ONLY)

Range = tuple[float, float]


# --- draws --------------------------------------------------------------------------------------------------


def draw_starts(generator: Generator, N: int, rows: int, columns: int) -> Any:
    starts = cupy.empty((2, N), np.int32)
    generator.run("draw_starts", starts, np.uint32(N), np.int32(rows), np.int32(columns))
    return starts


def draw_flips(generator: Generator, N: int, p: float) -> Any:
    flips = cupy.empty(N, bool)
    generator.run("draw_flips", flips, np.uint32(N), np.float64(p))
    return flips


def draw_boxes(generator: Generator, N: int, size: tuple[int, int], p: float, scale: Range, log_ratio: Range) -> Any:
    boxes = cupy.empty((4, N), np.int32)
    options = geometry.passed(np.array((*size, p, *scale, *log_ratio), BOXES))
    generator.run("draw_boxes", boxes, np.uint32(N), options)
    return boxes


def draw_squares(generator: Generator, N: int, size: tuple[int, int], edge: int) -> Any:
    boxes = cupy.empty((4, N), np.int32)
    generator.run("draw_squares", boxes, np.uint32(N), *map(np.int32, (*size, edge)))
    return boxes


def draw_maps(
    generator: Generator, N: int, size: tuple[int, int], ranges: Sequence[Range], center: tuple[float, float]
) -> Any:
    maps = cupy.empty((6, N), np.float32)
    options = geometry.passed(np.array((np.ravel(ranges), *center, *size), MAPS))
    generator.run("draw_maps", maps, np.uint32(N), options)
    return maps


def draw_mixture(generator: Generator, alpha: float, size: tuple[int, int] | None = None) -> tuple[Any, Any]:
    share = cupy.empty((), np.float64)
    box = None if size is None else cupy.empty(4, np.int32)
    pixels = map(np.int32, size or (0, 0))
    generator.run("draw_mixture", share, NULL if box is None else box, np.float64(alpha), *pixels, threads=1)
    return share, box


# --- pixels -------------------------------------------------------------------------------------------------


def _launch(name: str, out: Any, *arguments: Any) -> Any:
    launch("augment", name, out.dtype, out.size, out, *arguments)
    return out


def _image(images: Any) -> np.ndarray:
    return geometry.passed(np.array((*images.shape[2:], *geometry.elements(images)[2:]), IMAGE))


def _batch(x: Any) -> np.ndarray:
    return geometry.passed(np.array((len(x), geometry.elements(x)[0]), BATCH))


def cropped(images: Any, starts: Any, rows: Any, columns: Any, size: tuple[int, int], fill: Any) -> Any:
    N, C = images.shape[:2]
    out = cupy.empty_like(images, shape=(N, C, *size))
    outer = geometry.elements(images)[:2]
    walk = geometry.walk(out.shape, geometry.elements(out), (*outer, 0, 0), (0, 1, 0, 0), H_W_N)
    return _launch("crop", out, images, starts, rows, columns, fill, walk, _image(images), np.int32(N))


def flipped(images: Any, flips: Any, dim: int) -> Any:
    out = cupy.empty_like(images)
    along = tuple(int(i == dim % 4) for i in range(4))
    steps = geometry.elements(images)
    across = tuple(0 if one else step for one, step in zip(along, steps, strict=True))
    walk = geometry.walk(out.shape, geometry.elements(out), across, None, (along, (0, 0, 0, 0), N_ONLY))
    return _launch("flip", out, images, flips, walk, np.int32(images.shape[dim]), np.int32(steps[dim]))


def erased(images: Any, boxes: Any, value: Any) -> Any:
    out = cupy.empty_like(images)
    of_value = geometry.elements(value) if value.ndim == 4 else (0, 1, 0, 0)
    walk = geometry.walk(out.shape, geometry.elements(out), geometry.elements(images), of_value, H_W_N)
    return _launch("erase", out, images, boxes, value, walk, np.int32(len(images)))


def warped(images: Any, maps: Any, bilinear: bool, fill: Any) -> Any:
    out = cupy.empty_like(images)
    outer = geometry.elements(images)[:2]
    walk = geometry.walk(out.shape, geometry.elements(out), (*outer, 0, 0), (0, 1, 0, 0), H_W_N)
    options = walk, _image(images), np.int32(len(images)), np.int32(bilinear)
    return _launch("warp", out, images, maps, fill, *options)


def mixed(x: Any, share: Any) -> Any:
    out = cupy.empty_like(x)
    none = (0,) * x.ndim
    positions = (none, none, (1, *none[1:]))
    walk = geometry.walk(x.shape, geometry.elements(out), geometry.elements(x), None, positions)
    return _launch("mix", out, x, share, walk, _batch(x))


def pasted(x: Any, box: Any) -> Any:
    out = cupy.empty_like(x)
    walk = geometry.walk(x.shape, geometry.elements(out), geometry.elements(x), None, H_W_N)
    return _launch("paste", out, x, box, walk, _batch(x))


def mixed_classes(classes: Any, share: Any, count: int) -> Any:
    out = cupy.empty((len(classes), count), np.float32)
    classes = classes.astype(np.int64, copy=False)
    numbers = map(np.int32, (len(classes), count, *geometry.elements(classes)))
    return _launch("mix_classes", out, classes, share, np.uint32(out.size), *numbers)
