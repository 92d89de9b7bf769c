"""Samplers: which items of a data set come, and in which order. Names and arguments are torch's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array, Generator
from tinycnn.checks import LARGEST, check_flag, shortened
from tinycnn.data._checks import as_numbers, checked_int, checked_iterable, checked_list


def _length(owner: str, source: Any) -> int:
    """The length of a data set. TypeError, naming `owner`, for what has none."""
    try:
        return len(source)
    except TypeError:
        raise TypeError(f"{owner}: expected data_source with a length, got {shortened(source)}") from None


class Sampler:
    """Base class: a subclass defines `__iter__`, over indices, and `__len__`."""

    def __init__(self, data_source: Sized | None = None):
        self.data_source = data_source

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class SequentialSampler(Sampler):
    """0, 1, … to the last item of `data_source`."""

    def __init__(self, data_source: Sized):
        super().__init__(data_source)
        _length("SequentialSampler", data_source)

    def order(self) -> Array:
        """All indices at once."""
        return np.arange(len(self))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self.data_source)  # type: ignore[arg-type]


class RandomSampler(Sampler):
    """The items of `data_source` in random order.

    Args:
        replacement: draw each index from all. Default False: each once before any comes again.
        num_samples: how many. Default None: as many as there are.
        generator: a `tinycnn.Generator` to draw from. Default None: the library's random state.

    Raises ValueError for a number below 1, TypeError for a flag that is none.
    """

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None,
        generator: Generator | None = None,
    ):  # fmt: skip
        super().__init__(data_source)
        self.replacement = check_flag("RandomSampler", "replacement", replacement)
        N = _length("RandomSampler", data_source)
        self._num_samples = num_samples
        checked_int("RandomSampler(num_samples)", N if num_samples is None else num_samples, minimum=1)
        checked_int("RandomSampler: items of data_source", N, minimum=1)
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many."""
        return len(self.data_source) if self._num_samples is None else self._num_samples  # type: ignore[arg-type]

    def order(self) -> Array:
        """All indices at once."""
        N, count = _length("RandomSampler", self.data_source), self.num_samples
        numbers = backend.numbers_of("RandomSampler", self.generator)
        if self.replacement:
            return numbers.integers(0, N, count)
        rounds = [numbers.permutation(N) for _ in range(-(-count // N))]
        return rounds[0] if count == N else np.concatenate(rounds)[:count]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """These indices in random order. `generator`: a `tinycnn.Generator`, by default the library's random state."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None):
        super().__init__()
        self.indices, self.generator = checked_list("SubsetRandomSampler(indices)", indices), generator

    def __iter__(self) -> Iterator[int]:
        order = backend.numbers_of("SubsetRandomSampler", self.generator).permutation(len(self.indices))
        return iter([self.indices[i] for i in order.tolist()])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Indices drawn with probabilities in proportion to `weights`, (N,).

    Args:
        num_samples: how many.
        replacement: draw each index from all. Default True; False draws none twice.
        generator: a `tinycnn.Generator` to draw from. Default None: the library's random state.

    Raises ValueError for weights that are negative or sum to 0, a number below 1 or, without replacement, above the
    number of weights that are not 0.
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Generator | None = None
    ):
        super().__init__()
        name = "WeightedRandomSampler"
        self.weights = as_numbers(f"{name}(weights)", weights).astype(np.float64)
        if self.weights.ndim != 1 or not (self.weights >= 0).all() or not 0 < self.weights.sum() < np.inf:
            raise ValueError(f"{name}: expected weights (N,) of at least 0, some above, got {shortened(weights)}")
        self.num_samples = checked_int(f"{name}(num_samples)", num_samples, minimum=1)
        self.replacement, self.generator = check_flag(name, "replacement", replacement), generator
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError(f"{name}: expected num_samples of at most {np.count_nonzero(self.weights)} without "
                             f"replacement, got {num_samples}")  # fmt: skip

    def __iter__(self) -> Iterator[int]:
        shares, numbers = self.weights / self.weights.sum(), backend.numbers_of("WeightedRandomSampler", self.generator)
        return iter(numbers.choice(len(shares), self.num_samples, self.replacement, shares).tolist())

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler):
    """The share of one rank of the items of `dataset`: every rank draws the same order and takes each n-th item.

    All ranks get the same number of items: the first are repeated, or with `drop_last` the last are left out. A
    `tinycnn.training.Trainer` divides the batches of its loader by itself, and repeats none.

    Args:
        num_replicas: the number of ranks. Default None: that of the process group.
        rank: which one this is. Default None: that of the process group.
        shuffle: a random order, which is a function of `seed` and the epoch. Default True.
        seed: the same on all ranks. Default 0.
        drop_last: leave items out instead of repeating some. Default False.

    Raises ValueError for a rank that is none of those, fewer items than ranks with `drop_last`, or without a process
    group where one is needed; TypeError for what has no length.
    """

    def __init__(
        self, dataset: Sized, num_replicas: int | None = None, rank: int | None = None, shuffle: bool = True,
        seed: int = 0, drop_last: bool = False,
    ):  # fmt: skip
        super().__init__(dataset)
        name = "DistributedSampler"
        if num_replicas is None or rank is None:
            from tinycnn import distributed

            if not distributed.is_initialized():
                raise ValueError(f"{name}: expected num_replicas and rank, or a process group that tells them")
            num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
            rank = distributed.get_rank() if rank is None else rank
        self.dataset = dataset
        self.num_replicas = checked_int(f"{name}(num_replicas)", num_replicas, minimum=1)
        self.rank = checked_int(f"{name}(rank)", rank, minimum=0)
        if self.rank >= self.num_replicas:
            raise ValueError(f"{name}: expected rank below num_replicas {num_replicas}, got {rank}")
        self.shuffle, self.drop_last = check_flag(name, "shuffle", shuffle), check_flag(name, "drop_last", drop_last)
        self.seed = checked_int(f"{name}(seed)", seed, minimum=0)
        self.epoch = 0
        items = checked_int(f"{name}: items of dataset", _length(name, dataset), minimum=1)
        if drop_last and items < num_replicas:
            raise ValueError(f"{name}: expected at least {num_replicas} items, one a rank, got {items}")

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch. Without it, every epoch has the order of the first."""
        self.epoch = checked_int("DistributedSampler.set_epoch", epoch, minimum=0)

    def __iter__(self) -> Iterator[int]:
        N = _length("DistributedSampler", self.dataset)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(N) if self.shuffle else np.arange(N)
        places = ((self.rank + i * self.num_replicas) % N for i in range(len(self)))
        return iter([order[place].item() for place in places])

    @property
    def num_samples(self) -> int:
        """How many items each rank gets."""
        N, ranks = _length("DistributedSampler", self.dataset), self.num_replicas
        return N // ranks if self.drop_last else -(-N // ranks)

    @property
    def total_size(self) -> int:
        """How many items all ranks get together, with those that are repeated."""
        return self.num_samples * self.num_replicas

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of `sampler`; the last one may be shorter, or is dropped with `drop_last`."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool):
        super().__init__()
        self.sampler = checked_iterable("BatchSampler(sampler)", sampler)
        self.batch_size = checked_int("BatchSampler(batch_size)", batch_size, minimum=1)
        self.drop_last = check_flag("BatchSampler", "drop_last", drop_last)

    def __iter__(self) -> Iterator[list[Any]]:
        return in_batches(self.sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full if self.drop_last or not rest else full + 1


def in_batches(items: Iterable[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Lists of `size` items; the last one may be shorter, or is dropped."""
    iterator = iter(items)
    while batch := list(islice(iterator, min(size, LARGEST))):
        if len(batch) == size or not drop_last:
            yield batch
