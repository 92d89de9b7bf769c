"""The loader: batches of a data set, in order or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from tinycnn import backend, creation
from tinycnn._bfloat16 import holds_numbers
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.backend.threads import evenly
from tinycnn.checks import check_flag, check_not_negative, shortened
from tinycnn.data._checks import checked_function, checked_int, checked_iterable
from tinycnn.data.dataset import Indexable, IterableDataset, checked_dataset, device_of_batches, get_items, own_dataset
from tinycnn.data.sampler import BatchSampler, RandomSampler, SequentialSampler, in_batches
from tinycnn.data.transforms.convert import to_tensor
from tinycnn.data.transforms.pictures import is_pil
from tinycnn.data.workers import EpochAhead, Workers, context_of
from tinycnn.ops.shape import stack
from tinycnn.tensor import Tensor


class DataLoader:
    """Iterates over the batches of one epoch, on the device of the data set.

    On a GPU (`dataset.to("cuda")`) the shuffled order is there too, and the host waits for nothing within an epoch.

    Args:
        dataset: anything with `__len__` and `__getitem__(index)`, or an `IterableDataset`, also torch's or Hugging
            Face's. If it has `__getitems__(indices)` (see `tinycnn.data.dataset`), whole batches are fetched through
            that.
        batch_size: items per batch. Default 1. None: no batches, items as they are (arrays become Tensors).
        shuffle: a new random order in every epoch. Default None, False.
        sampler: an iterable of indices, instead of shuffle. Default None.
        batch_sampler: an iterable of lists of indices, instead of batch_size, shuffle, sampler and drop_last.
        collate_fn: makes a batch of a list of samples. Default `default_collate`.
        drop_last: drop the last batch if it is smaller. Default False.
        generator: a `tinycnn.Generator` that the order is drawn from. Default None: the random state of the data set's
            device (`tinycnn.manual_seed`).
        seed: makes the order a function of (seed, epoch) alone, the same on every device, and what is drawn while a
            batch is made one of (seed, epoch, number of the batch). Default None.
        num_workers: processes that make batches before they are asked for. Default 0: made when asked for, here.
        timeout: seconds to wait for a batch of a worker. Default 0: for ever.
        worker_init_fn: is called in each worker, before its first batch, with its number. Default None.
        multiprocessing_context: how workers start: "fork", "spawn", "forkserver", a context of multiprocessing, or
            "thread", for threads in this process: nothing is sent, and what releases Python's lock runs side by side.
            Default None: Python's own way.
        prefetch_factor: batches of each worker that may be ahead. Default None: 2.
        persistent_workers: keep the workers for the next epoch. Default False.
        pin_memory, pin_memory_device, in_order: torch's, which change nothing: copies to a GPU pin what they need, and
            batches always come in order.

    Attribute `epoch`: the number of epochs begun; set it to repeat or resume the sequence of orders.

    Each batch is made with a random state of its own, so that what transforms draw depends neither on the training nor
    on when or where the batch is made. An epoch draws one number for that, as torch's does: from `generator`, or from
    the library's random state. A data set on a GPU draws from the random state of its device.

    Workers change no batch and no random number, whatever their number. In a worker process the random numbers of
    Python and NumPy are seeded for each batch too, after `worker_init_fn`; in this process they are left alone. As in
    torch, each worker iterates over an `IterableDataset` of its own, which `get_worker_info()` lets it share out, and
    the batches come from the workers in turn; one of another library has one worker. Batches of a data set on a GPU are
    made in this process.

    `state_dict()` says where the loader is, and a new one goes on from there: see `load_state_dict`.

    An exception of the data set comes out of the iterator, which then goes on with the next batch, as in torch. That of
    a worker has the worker's traceback as its text. StopIteration becomes a RuntimeError: it would end the epoch in
    silence. The death of a worker is a RuntimeError too.

    Raises ValueError for a batch size below 1, a negative seed, an empty data set that is to be shuffled, or arguments
    that exclude each other, TypeError for a data set without the two methods, a flag that is not True or False, or a
    `collate_fn` that cannot be called.
    """

    def __init__(
        self, dataset: Indexable | IterableDataset, batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Iterable | None = None, batch_sampler: Iterable | None = None, num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None, pin_memory: bool = False, drop_last: bool = False,
        timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None,
        generator: backend.Generator | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True, seed: int | None = None,
    ):  # fmt: skip
        name = "DataLoader"
        given, dataset = dataset, own_dataset(dataset)
        self.dataset: Any = dataset
        if not isinstance(dataset, IterableDataset):
            checked_dataset(name, dataset)
            if len(dataset) == 0 and shuffle:  # as in torch: in order it gives nothing
                raise ValueError(f"{name}: the dataset is empty")
        self.shuffle = check_flag(name, "shuffle", shuffle is not None and shuffle)
        self.drop_last = check_flag(name, "drop_last", drop_last)
        for option, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None:
                checked_iterable(f"{name}({option})", value)
        self._check_alone(batch_size, sampler, batch_sampler)
        no_batches = batch_size is None or batch_sampler is not None
        self.batch_size = None if no_batches else checked_int(f"{name}(batch_size)", batch_size, minimum=1)
        self.generator, self.seed = generator, None if seed is None else checked_int(f"{name}(seed)", seed, minimum=0)
        backend.numbers_of(name, generator)
        self.collate_fn = checked_function(f"{name}(collate_fn)", collate_fn)
        num_workers = checked_int(f"{name}(num_workers)", num_workers, minimum=0, maximum=1024)
        # One that asks another library which worker it is in would give everything in each.
        self.num_workers = num_workers if dataset is given else min(num_workers, 1)
        self.pin_memory, self.pin_memory_device = check_flag(name, "pin_memory", pin_memory), pin_memory_device
        self.timeout = check_not_negative(name, "timeout", timeout)
        self.worker_init_fn = checked_function(f"{name}(worker_init_fn)", worker_init_fn)
        self.in_order = check_flag(name, "in_order", in_order)
        self.persistent_workers = check_flag(name, "persistent_workers", persistent_workers)
        self._check_for_workers(prefetch_factor, multiprocessing_context)
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor = 2 if prefetch_factor is None and self.num_workers else prefetch_factor
        if sampler is None and batch_sampler is None and not isinstance(dataset, IterableDataset):
            sampler = RandomSampler(dataset, generator=generator) if self.shuffle else SequentialSampler(dataset)
        if sampler is not None and self.batch_size is not None:
            batch_sampler = BatchSampler(sampler, self.batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.epoch = 0
        self._rank, self._ranks = 0, 1
        self._progress: _Progress | None = None  # of the epoch that began last
        self._resumed: _Progress | None = None  # of the epoch that the next iterator continues
        self._workers: Workers | None = None  # that persist

    def _check_alone(self, batch_size: int | None, sampler: Any, batch_sampler: Any) -> None:
        """ValueError for arguments that exclude each other."""
        has_batches = batch_sampler is not None
        given = {"shuffle": self.shuffle, "sampler": sampler is not None, "drop_last": self.drop_last,
                 "batch_sampler": has_batches, "batch_size": has_batches and batch_size != 1}  # fmt: skip
        excluded: dict[str, tuple[str, ...]] = {
            "sampler": ("shuffle",),
            "batch_sampler": ("batch_size", "shuffle", "sampler", "drop_last"),
        }
        pairs = [(other, f"beside {name}") for name, others in excluded.items() if given[name] for other in others]
        if isinstance(self.dataset, IterableDataset):
            pairs += [(name, "for an IterableDataset") for name in ("shuffle", "sampler", "batch_sampler")]
        if batch_size is None:
            pairs += [("drop_last", "without batches")]
        for name, where in pairs:
            if given[name]:
                raise ValueError(f"DataLoader: expected no {name} {where}")

    def _check_for_workers(self, prefetch_factor: Any, multiprocessing_context: Any) -> None:
        """ValueError for options of workers without any, or of wrong values."""
        options = {"prefetch_factor": prefetch_factor, "multiprocessing_context": multiprocessing_context,
                   "persistent_workers": self.persistent_workers or None}  # fmt: skip
        for name, value in options.items():
            if value is not None and self.num_workers == 0:
                raise ValueError(f"DataLoader: expected no {name} with num_workers=0, got {shortened(value)}")
        if prefetch_factor is not None:
            checked_int("DataLoader(prefetch_factor)", prefetch_factor, minimum=1)
        if multiprocessing_context is not None:
            context_of(multiprocessing_context)

    def __len__(self) -> int:
        """The number of batches."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        items = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return items
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        # Not a generator function: the order is drawn and the epoch counted now, not at the first batch.
        progress = self._resumed
        if progress is None:
            epoch = checked_int("DataLoader.epoch", self.epoch, minimum=0)
            progress = _Progress(epoch, self._epoch_seed(), _states(self._sources()))
            indices = self._indices(progress)
        else:
            indices = self._indices_left(progress)
        if self._ranks > 1:
            indices = (_part(each, self._rank, self._ranks) for each in indices)
        batches = self._begun(progress, indices)
        self._progress, self._resumed = progress, None
        self.epoch += 1
        return batches

    def _begun(self, progress: _Progress, indices: Iterator[Any]) -> Iterator[Any]:
        """The batches of these indices, made in this process when they are asked for, or by workers before."""
        load, seed = _Loading(self), progress.seed
        if self.num_workers == 0 or seed is None or device_of_batches(self.dataset) != backend.CPU:
            load.begin(seed)
            return _Epoch(load, indices, progress)
        workers = self._workers
        if workers is None or not workers.are_ready():
            context = context_of(self.multiprocessing_context)
            workers = Workers(load, self.num_workers, context, self.worker_init_fn, self.timeout, seed)
        self._workers = workers if self.persistent_workers else None
        ahead = self.num_workers * int(self.prefetch_factor or 1)
        return EpochAhead(workers, ahead, seed, indices, progress)

    def divide(self, rank: int, ranks: int) -> tuple[int, int]:
        """Lets the next iterators give one part of each batch, of as many parts as there are ranks of a process group.

        The parts of a batch have the same number of items, or one more. All ranks call it, and begin each epoch
        together: its seed is drawn by rank 0. A rank whose part has no items gets Tensors of length 0. `divide(0, 1)`
        gives whole batches again. What `len` and `state_dict` tell is that of whole batches.

        Returns what was set before.

        Raises ValueError for a loader that gives items, or the batches of an `IterableDataset`.
        """
        if isinstance(self.dataset, IterableDataset) or self.batch_sampler is None:
            raise ValueError("DataLoader.divide: expected batches of a data set with indices")
        former = self._rank, self._ranks
        self._ranks = checked_int("DataLoader.divide(ranks)", ranks, minimum=1)
        self._rank = checked_int("DataLoader.divide(rank)", rank, minimum=0)
        return former

    def _epoch_seed(self) -> int | None:
        """What the random states of an epoch are made of: that of the order, and one for each batch.

        None if a GPU draws the order: then nobody waits for what it draws, and batches are made with its random state.
        """
        if self._device() != backend.CPU:
            return None
        if self.seed is not None:
            numbers = np.random.default_rng([self.seed, self.epoch])
        else:
            numbers = backend.numbers_of("DataLoader", self.generator)
        seed = int(numbers.integers(2**63))
        if self._ranks > 1:
            from tinycnn import distributed

            distributed.broadcast(drawn := creation.tensor(seed))
            seed = drawn.item()
        return seed

    def _device(self) -> backend.Device:
        """The device that draws the order: that of the batches, but for samplers and functions of the user the CPU."""
        own = self.shuffle or type(self.sampler) is SequentialSampler
        if not own or self._ranks > 1 or self.batch_size is None or self.collate_fn is not None:
            return backend.CPU
        return device_of_batches(self.dataset)

    def _indices(self, progress: _Progress) -> Iterator[Any]:
        """The indices of each batch; None for each of an `IterableDataset`.

        What draws them from the random state of the CPU has one of its own: it may draw between two batches, too.
        """
        if isinstance(self.dataset, IterableDataset):
            return repeat(None)
        numbers = _own_random_state(progress.seed)
        with numbers:
            if self.batch_size is None or type(self.sampler) not in (SequentialSampler, RandomSampler):
                given: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
                return _drawn(iter(given), numbers)
            # Slices of all indices at once: on a GPU they are there.
            order, size, count = self._order(progress.epoch), self.batch_size, len(self)
        return (order[start : start + size] for start in range(0, count * size, size))

    def _order(self, epoch: int) -> Array:
        sampler: Any = self.sampler
        device = backend.CPU if self.collate_fn is not None else device_of_batches(self.dataset)
        if self.shuffle and self.seed is not None:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        elif self.shuffle and self.generator is None and self._ranks == 1:
            return backend.random_generator(device).permutation(len(self.dataset))
        elif self.shuffle or isinstance(sampler, RandomSampler):
            order = sampler.order()
        else:
            with backend.on(device) as xp:
                return xp.arange(len(sampler))
        return backend.to_device(order, device)

    # --- where it is ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, for `load_state_dict`: a dict of what JSON can hold.

        It tells how many batches the iterator that was made last has given, how the order of its epoch was drawn, and
        the states of the generators of the loader and its sampler. The library's random state is not part of it.
        """
        progress = self._progress
        if progress is None or progress.ended:
            progress = _Progress(self.epoch)
        return {
            "loader": self._description(),
            "epoch": progress.epoch,
            "batches": progress.position,
            "seed": progress.seed,
            "drawn_from": _plain(progress.drawn_from),
            "generators": _plain(_states(self._generators())),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where a loader with the same data and arguments was when its `state_dict()` returned this.

        The next iterator gives the batches that were left of that epoch, none if all had been given. Those before are
        skipped by their indices, and not loaded; of an `IterableDataset` they are read again. The iterators after it
        give the following epochs. All are those of the uninterrupted run, bit for bit, if the library's random state is
        set to what it was, which is left to the caller: to resume draws nothing from it.

        A sampler of the user's has no state here: it is iterated anew, with the random state of that epoch. What it
        draws from elsewhere has to give the same again; from its own `generator` it has to draw when it begins, if
        there are workers, which are ahead. `epoch` becomes the number of epochs that were finished.

        Raises ValueError for a dict of something else or the state of another loader, and then changes nothing.
        """
        name, present = "DataLoader.load_state_dict", self.state_dict()
        if not isinstance(state_dict, dict) or state_dict.keys() != present.keys():
            raise ValueError(f"{name}: expected what state_dict() returned, got {shortened(state_dict)}")
        state = deepcopy(state_dict)
        given = state["loader"] if isinstance(state["loader"], dict) else {}
        for option, value in present["loader"].items():
            if given.get(option) != value:
                found = shortened(given.get(option))
                raise ValueError(f"{name}: expected the state of a loader with {option} {value}, got one with {found}")
        progress = _Progress(state["epoch"], state["seed"], state["drawn_from"], state["batches"])
        for key in ("epoch", "batches", "seed"):
            if key != "seed" or state[key] is not None:
                checked_int(f"{name}({key})", state[key], minimum=0)
        _check_states(f"{name}(generators)", self._generators(), state["generators"])
        if progress.drawn_from is not None:
            _check_states(f"{name}(drawn_from)", self._sources(), progress.drawn_from)
        _set_states(self._generators(), state["generators"])
        self.epoch = progress.epoch
        self._progress = self._resumed = None if progress.drawn_from is None else progress

    def _description(self) -> dict[str, Any]:
        """What two loaders have to share for the state of one to be of use to the other."""
        is_iterable = isinstance(self.dataset, IterableDataset)
        return {
            "items": None if is_iterable else len(self.dataset),
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "device": self._device().type,
            "workers": max(1, self.num_workers) if is_iterable else None,
        }

    def _generators(self) -> list[Any]:
        """What draws in the generators that the loader and its samplers were given."""
        owners = (self, self.sampler, self.batch_sampler, getattr(self.batch_sampler, "sampler", None))
        given = dict.fromkeys(getattr(owner, "generator", None) for owner in owners)
        return [each.numbers for each in given if isinstance(each, backend.Generator)]

    def _sources(self) -> list[Any]:
        """What draws the order of an epoch beside a random state made of the epoch's seed."""
        device = self._device()
        on_gpu = device != backend.CPU and self.shuffle and self.generator is None and self.seed is None
        return self._generators() + ([backend.random_generator(device)] if on_gpu else [])

    def _indices_left(self, progress: _Progress) -> Iterator[Any]:
        """The indices of the batches that are left, drawn as they were. Leaves all random states as they are."""
        assert progress.drawn_from is not None
        sources = self._sources()
        present = _states(sources)
        try:
            _set_states(sources, progress.drawn_from)
            indices = self._indices(progress)
            if not isinstance(self.dataset, IterableDataset):  # of which the batches are read
                for _ in zip(range(progress.position), indices):
                    pass
            return indices
        finally:
            _set_states(sources, present)


@dataclass
class _Progress:
    """How far an epoch is.

    Attributes:
        epoch: how many came before it.
        seed: see `DataLoader._epoch_seed`.
        drawn_from: the states of `DataLoader._sources` at its beginning; None if no epoch has begun.
        position: the number of the next batch.
        ended: whether there is none.
    """

    epoch: int
    seed: int | None = None
    drawn_from: list[Any] | None = None
    position: int = 0
    ended: bool = False


class _Epoch:
    """The batches of one epoch, each made when it is asked for."""

    def __init__(self, load: _Loading, indices: Iterator[Any], progress: _Progress):
        self._load, self._indices, self._progress = load, indices, progress

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        progress = self._progress
        try:
            indices, number = next(self._indices), progress.position
            progress.position += 1  # also after an exception: the next batch comes next
            return self._load(number, indices)
        except StopIteration:
            progress.ended = True
            raise


class _Loading:
    """Makes the batches of an epoch."""

    def __init__(self, loader: DataLoader):
        self.dataset, self.collate_fn = loader.dataset, loader.collate_fn
        self.batch_size, self.drop_last = loader.batch_size, loader.drop_last
        self.key = (loader._rank,) if loader._rank else ()  # each rank draws numbers of its own
        self.is_single = loader.batch_sampler is None and loader.batch_size is None

    def begin(self, seed: int | None, worker: int = 0, workers: int = 1) -> None:
        """Begins an epoch. Of an `IterableDataset` this worker gives every batch of its copy, numbered in steps."""
        self.seed = seed
        self._samples: Iterator[Any] | None = None  # of an `IterableDataset`, by batches
        self._next, self._step = worker, workers  # the number of the batch that it gives next

    def __call__(self, number: int, indices: Any) -> Any:
        """Batch `number`, of these indices; of an `IterableDataset` the next one, or StopIteration."""
        is_iterable = isinstance(self.dataset, IterableDataset)
        while is_iterable and self._next < number:  # given before the epoch was resumed
            with _own_random_state(self.seed, self._next):
                try:
                    self._read()
                except StopIteration:
                    raise
                except Exception:
                    pass  # as it was then
        with _own_random_state(self.seed, number, *self.key):
            return self._batch(self._read() if is_iterable else indices)

    def _read(self) -> Any:
        """The samples of the next batch of an `IterableDataset`."""
        self._next += self._step
        if self._samples is None:
            self._samples = iter(self.dataset)
            if self.batch_size is not None:
                self._samples = in_batches(self._samples, self.batch_size, self.drop_last)
        return next(self._samples)

    def _batch(self, found: Any) -> Any:
        """The batch of these indices, or of these samples of an `IterableDataset`."""
        if isinstance(found, _LikeThese):
            return _emptied(self._batch(found.indices))
        try:
            if isinstance(self.dataset, IterableDataset):
                items = found
            elif self.is_single:
                items = self.dataset[found]
            elif self.collate_fn is not None:
                items = [self.dataset[i] for i in _listed(found)]
            else:
                items = get_items(self.dataset, found)
            if self.collate_fn is not None:
                return self.collate_fn(items)
        except StopIteration as error:
            raise RuntimeError("DataLoader: the dataset or collate_fn raised StopIteration") from error
        if self.is_single:
            return default_convert(items)
        if not isinstance(items, list):
            return [*items]
        return default_collate(items, None if isinstance(self.dataset, IterableDataset) else _listed(found))


def _own_random_state(seed: int | None, *key: int) -> Any:
    """A block that draws from a random state of its own; with None from the library's."""
    return nullcontext() if seed is None else backend.OwnRandomState(seed, *key)


def _drawn(iterator: Iterator[Any], numbers: Any) -> Iterator[Any]:
    """What an iterator gives while it draws from this random state."""
    while True:
        with numbers:
            try:
                found = next(iterator)
            except StopIteration:
                return
        yield found


def _plain(states: list[Any] | None) -> list[Any] | None:
    """Random states as JSON can hold them: that of a GPU as a list."""
    return states and [deepcopy(state) if isinstance(state, (dict, list)) else state.tolist() for state in states]


def _states(sources: list[Any]) -> list[Any]:
    return [backend.state_of(numbers) for numbers in sources]


def _set_states(sources: list[Any], states: list[Any]) -> None:
    for numbers, state in zip(sources, states, strict=True):
        backend.set_state_of(numbers, state)


def _check_states(argument: str, sources: list[Any], states: Any) -> None:
    """ValueError, naming `argument`, unless these are random states of `sources`."""
    try:
        for numbers, state in zip(sources, states, strict=True):
            backend.check_state(numbers, state)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ValueError(f"{argument}: expected {len(sources)} random states, got {shortened(states)}") from None


@dataclass(frozen=True)
class _LikeThese:
    """In place of indices: a batch of no items, otherwise like that of these."""

    indices: Any


def _part(indices: Any, rank: int, ranks: int) -> Any:
    """The part of a batch's indices that is this rank's."""
    part = indices[evenly(len(indices), ranks)[rank]]
    return part if len(part) else _LikeThese(indices[:1])


def _emptied(batch: Any) -> Any:
    """A batch without its items."""
    if isinstance(batch, dict):
        return {key: _emptied(value) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(_emptied, batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)([_emptied(each) for each in batch if not isinstance(each, (str, bytes))])
    return batch[:0] if isinstance(batch, Tensor) else batch


def _listed(indices: Any) -> list[Any]:
    return indices if isinstance(indices, list) else indices.tolist()


def default_convert(data: object) -> Any:
    """Arrays, NumPy's numbers and tensors of other libraries, in the same memory, as Tensors, also within tuples, lists
    and dicts; anything else as it is."""
    if isinstance(data, Tensor) or backend.is_gpu_array(data):
        return data
    if isinstance(data, np.generic) or hasattr(type(data), "__dlpack__"):
        array = _as_numpy(data, f"a {type(data).__name__}")
        return creation.from_numpy(array) if holds_numbers(array.dtype) else data
    if isinstance(data, dict):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    return [default_convert(each) for each in data] if isinstance(data, (tuple, list)) else data


def default_collate(samples: list | tuple, indices: list[int] | None = None) -> Any:
    """Stacks samples along a new first dimension N, in the structure of the samples; tuples become lists, as in torch.

    A sample is a Tensor, an array, a torch tensor, a number (ints become int64, floats float64), a PIL image (as by
    `ToTensor`), a str or bytes, which stay as they are, or a tuple, namedtuple, list or dict of these.

    Args:
        indices: the samples' indices in the data set, for error messages. Default 0, 1, 2, …

    Gradients flow through to samples that are Tensors. Numbers and Tensors of different dtypes are promoted.

    Raises ValueError for samples of different shapes, devices or structure, TypeError for other types.
    """
    if not isinstance(samples, (list, tuple)) or not samples:
        raise TypeError(f"default_collate: expected a list of at least one sample, got {shortened(samples)}")
    indices = list(range(len(samples))) if indices is None else indices
    first = samples[0]
    if isinstance(first, dict):
        _require_alike("types", samples, dict, indices)
        found = [tuple(first if sample.keys() == first.keys() else sample) for sample in samples]
        _require_equal("keys", found, indices)
        return {key: default_collate([sample[key] for sample in samples], indices) for key in first}
    if isinstance(first, (tuple, list)):
        _require_alike("types", samples, (tuple, list), indices)
        _require_equal("lengths", [len(sample) for sample in samples], indices)
        fields = [default_collate(field, indices) for field in zip(*samples, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    if isinstance(first, (str, bytes)):
        _require_alike("types", samples, (str, bytes), indices)
        return samples
    if all(isinstance(sample, (int, float)) for sample in samples):
        return creation.tensor(samples, dtype=np.float64 if isinstance(first, float) else None)
    arrays = [_as_array(sample, i) for sample, i in zip(samples, indices, strict=True)]
    _require_equal("shapes", [array.shape for array in arrays], indices)
    _require_equal("devices", [backend.device_of(array) for array in arrays], indices)
    recorded = any(isinstance(sample, Tensor) and sample.requires_grad for sample in samples)
    if recorded or len({array.dtype for array in arrays}) > 1:
        return stack([x if isinstance(x, Tensor) else wrap(a) for x, a in zip(samples, arrays, strict=True)])
    with backend.on(backend.device_of(arrays[0])) as xp:
        return wrap(xp.stack(arrays))


def _require_alike(what: str, samples: list | tuple, kinds: type | tuple[type, ...], indices: list[int]) -> None:
    """ValueError unless all samples are of these kinds, as the first one is."""
    first = type(samples[0]).__name__
    _require_equal(what, [first if isinstance(s, kinds) else type(s).__name__ for s in samples], indices)


def _as_array(sample: Any, index: int) -> Any:
    if isinstance(sample, Tensor):
        return sample._array
    if is_pil(sample):
        return to_tensor(sample)._array
    described = f"a {type(sample).__name__} (item {index})"
    array = _as_numpy(sample, described)
    if not holds_numbers(array.dtype):
        raise TypeError(f"DataLoader: cannot make a tensor of {described}; pass collate_fn")
    return array


def _as_numpy(sample: Any, described: str) -> np.ndarray:
    try:
        return np.asarray(sample)
    except (TypeError, RuntimeError) as error:  # of torch, for a tensor with a gradient, or of bfloat16, or on a GPU
        reason = " ".join(str(error).split()).rstrip(".")
        raise TypeError(f"DataLoader: cannot make a tensor of {described}: {reason}; pass collate_fn") from None


def _require_equal(what: str, values: list, indices: list[int]) -> None:
    for value, index in zip(values, indices, strict=True):
        if value != values[0]:
            raise ValueError(
                f"DataLoader: cannot batch items of different {what}: item {indices[0]} has {values[0]}, "
                f"item {index} has {value}; make them equal or pass collate_fn"
            )
