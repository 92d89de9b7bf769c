"""The table of idioms."""

# ruff: noqa: F401, I001, the order of the rows
from tests.idioms import tensors, arithmetic, gradients, modules, layers, training, files, arrays, programs
from tests.idioms import more_tensors, more_training, more_files
from tests.idioms import differences
from tests.idioms.idiom import IDIOMS, Idiom

ABSENT = differences.absent.name

__all__ = ["ABSENT", "IDIOMS", "Idiom"]
