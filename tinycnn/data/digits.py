"""The 1,797 small handwritten digits that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinycnn._extras import how_to_install
from tinycnn.checks import check_flag
from tinycnn.data._checks import checked_int
from tinycnn.data.arrays import ArrayDataset


class Digits(ArrayDataset):
    """Handwritten digits of 8×8 pixels, enlarged: real data that needs no download.

    1,437 training or 360 test images (a fixed stratified split, 4:1), (1, 8·scale, 8·scale) float32, normalised by the
    mean and standard deviation of the training images.

    Args:
        train: the training part (default) or the test part.
        transform: as for `ArrayDataset`.
        scale: factor of the bilinear enlargement, from 1 to 1000. Default 4, to 32×32, the input of LeNet-5.

    Raises ImportError without scikit-learn, ValueError for another scale, TypeError for another `train`.
    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998; its test part.
    """

    def __init__(self, train: bool = True, transform: Callable[[np.ndarray], np.ndarray] | None = None, scale: int = 4):
        scale = checked_int("Digits(scale)", scale, minimum=1, maximum=1000)
        train = check_flag("Digits", "train", train)
        try:
            from sklearn.datasets import load_digits
            from sklearn.model_selection import train_test_split
        except ImportError as error:
            raise ImportError(
                f"Digits: needs scikit-learn, which is not installed: {how_to_install('examples')}"
            ) from error
        digits = load_digits()
        images = enlarge(digits.images / 16, scale)[:, None]  # pixels are 0..16
        indices = np.arange(len(images))
        train_part, test_part = train_test_split(indices, test_size=0.2, stratify=digits.target, random_state=0)
        part, statistics = train_part if train else test_part, (images[train_part].mean(), images[train_part].std())
        super().__init__(images[part], digits.target[part], transform, "0123456789", "Digits", statistics)


def enlarge(images: np.ndarray, scale: int) -> np.ndarray:
    """(N, H, W) to (N, H·scale, W·scale), bilinear with half-pixel centres.

    Equals torch's `interpolate(mode="bilinear", align_corners=False)`.
    """
    rows, columns = (interpolation_matrix(size, scale) for size in images.shape[1:])
    return rows @ images @ columns.T


def interpolation_matrix(size: int, scale: int) -> np.ndarray:
    """(size·scale, size): linear interpolation of a row of pixels as a matrix.

    The centre of new pixel i is at (i + ½)/scale − ½ on the axis of the old centres 0, 1, …; beyond the outermost
    centres the value stays constant.
    """
    centre = np.clip((np.arange(size * scale) + 0.5) / scale - 0.5, 0, size - 1)
    # A neighbour's weight falls linearly from 1 at its centre to 0 at the next one.
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(size)))
