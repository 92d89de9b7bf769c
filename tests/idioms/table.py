"""The table of idioms, in the order of the page."""

from tests.idioms import tensors, arithmetic, gradients, modules, layers, training, files, arrays, programs  # noqa: F401, I001
from tests.idioms import differences
from tests.idioms.idiom import IDIOMS, Idiom

ABSENT = differences.absent.name

__all__ = ["ABSENT", "IDIOMS", "Idiom"]
