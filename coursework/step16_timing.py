"""Step 16, optional: how much faster is im2col than the loops?

`python step16_timing.py` prints a table, for images of several sizes.
"""

import time
from collections.abc import Callable

import numpy as np
from step02_conv_forward_loops import conv_forward_loops
from step06_conv import conv_forward


def seconds(f: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """The seconds of one call of f: the *smallest* of `repeats` measurements, after one call that is not measured.

    The first call pays for what happens once: memory is fetched, files are read. Of the others the smallest is taken,
    not the mean: whatever else the machine does makes a call slower and never faster.

    Args:
        f: is called without arguments
        repeats: at least 1
        clock: gives the time in seconds. With another clock than that of the machine, this function can be tested

    Hint: the clock is read before and after each call, and nothing else happens in between.
    """
    raise NotImplementedError("seconds")


def compare(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int = 1, padding: int = 0, repeats: int = 3
) -> dict[str, float]:
    """The seconds of a forward pass by the loops of step 2 and by the matrix product of step 6, on the same input.

    Args: x (N, C, H, W), w (O, C, KH, KW), b (O,).
    Returns {"loops": seconds, "im2col": seconds, "ratio": how many times faster im2col is}.

    Hint: `lambda: conv_forward(x, w, b, stride, padding)` is a function without arguments.
    """
    raise NotImplementedError("compare")


# --- given -------------------------------------------------------------------------------------------------------


def main() -> None:
    rng = np.random.default_rng(0)
    print("image      loops       im2col      ratio")
    for size in (8, 16, 32):
        x, w, b = rng.standard_normal((4, 3, size, size)), rng.standard_normal((8, 3, 5, 5)), rng.standard_normal(8)
        found = compare(x, w, b, padding=2)
        print(f"{size:>2} x {size:<2} {found['loops']:10.5f} s {found['im2col']:10.5f} s {found['ratio']:8.0f}")


if __name__ == "__main__":
    main()
