"""Data sets made of others. Names and arguments are torch's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from tinycnn.data._checks import checked_list
from tinycnn.data.dataset import Dataset, Indexable, IterableDataset, checked_dataset, checked_index


class ConcatDataset(Dataset):
    """The items of several data sets, one after the other; `a + b` is one too.

    Attributes: datasets, a list; cumulative_sizes, the end of each.
    Raises ValueError for none, TypeError for what is no data set.
    """

    def __init__(self, datasets: Iterable[Indexable]):
        given = checked_list("ConcatDataset(datasets)", datasets)
        self.datasets = [checked_dataset("ConcatDataset", each) for each in given]
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset, got none")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        place = checked_index("ConcatDataset", index, len(self)) % len(self)
        which = bisect_right(self.cumulative_sizes, place)
        return self.datasets[which][place - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """What several `IterableDataset`s yield, one after the other."""

    def __init__(self, datasets: Iterable[IterableDataset]):
        self.datasets = checked_list("ChainDataset(datasets)", datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset):
    """Item i is the tuple of item i of each data set, or a dict of them for data sets given by name.

    Raises ValueError for none, for both ways at once, and for data sets of different lengths.
    """

    def __init__(self, *args: Indexable, **kwargs: Indexable):
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: expected datasets, either all by name or none")
        self.datasets: Any = kwargs or args
        lengths = {len(checked_dataset("StackDataset", dataset)) for dataset in (*args, *kwargs.values())}
        if len(lengths) != 1:
            raise ValueError(f"StackDataset: expected datasets of one length, got {sorted(lengths)}")
        self._length = lengths.pop()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)
