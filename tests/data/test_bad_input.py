"""Odd objects in every argument of every public name of tinycnn.data: accepted, or an error of one line that names what
refused it."""

import inspect
import math
import re

import numpy as np
import pytest

import tinycnn
from tinycnn import data
from tinycnn.checks import is_int
from tinycnn.data import ArrayDataset, DataLoader, TensorDataset

IMAGES, TARGETS = np.zeros((4, 1, 5, 6), np.float32), np.arange(4)
SET = ArrayDataset(IMAGES, TARGETS)

ODD = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, 10**30, -(10**30), 0.5, -0.5, math.nan, math.inf, 1j, "", "test",
    "0", "a\nb", "\0", b"bytes", (), [], {}, set(), [None], ["a"], [[1], [2, 3]], [math.nan], (1, 2, 3), {0: 1},
    range(3), object(), object, len, lambda *_: None, print, slice(0, 1), ..., iter([1]), Exception("x"),
    np.bool_(True), np.int8(-3), np.uint64(2**64 - 1), np.float16(2), np.float64("nan"), np.array(1), np.array([]),
    np.zeros((0, 0)), np.zeros((2, 2)), np.zeros((4, 1, 5, 6)), np.array(["a"]), np.array([None]), np.zeros(3, complex),
    np.zeros(3, "M8[s]"), np.zeros(3, "i4,f4"), np.array([2**63], np.uint64), tinycnn.ones(2), tinycnn.tensor(1),
    tinycnn.ones(4, 1, 5, 6, requires_grad=True), SET, DataLoader(SET), int, type(None), NotImplemented,
]  # fmt: skip

# The public names, with arguments that are right. Digits and MNIST have the size of an example here.
CALLS = {
    "ArrayDataset": {"images": IMAGES, "targets": TARGETS, "transform": None, "classes": "abcd", "normalize": (0.5, 1)},
    "TensorDataset": {"tensors": [1, 2]},
    "Subset": {"dataset": SET, "indices": [0, 1]},
    "ConcatDataset": {"datasets": [SET, SET]},
    "ChainDataset": {"datasets": []},
    "StackDataset": {"args": [SET]},
    "random_split": {"dataset": SET, "lengths": [1, 3], "generator": None, "seed": 0},
    "DataLoader": {"dataset": SET, "batch_size": 2, "shuffle": True, "sampler": None, "batch_sampler": None,
                   "num_workers": 0, "collate_fn": None, "pin_memory": False, "drop_last": False, "timeout": 0,
                   "worker_init_fn": None, "multiprocessing_context": None, "generator": None, "prefetch_factor": None,
                   "persistent_workers": False, "pin_memory_device": "", "in_order": True, "seed": 0},
    "default_collate": {"samples": [1, 2]},
    "default_convert": {"data": [1, 2]},
    "prefetch_to_device": {"batches": [tinycnn.ones(2)], "device": "cpu"},
    "get_worker_info": {},
    "Sampler": {"data_source": None},
    "SequentialSampler": {"data_source": SET},
    "RandomSampler": {"data_source": SET, "replacement": False, "num_samples": None, "generator": None},
    "SubsetRandomSampler": {"indices": [0, 1], "generator": None},
    "WeightedRandomSampler": {"weights": [0.5, 1], "num_samples": 1, "replacement": True, "generator": None},
    "DistributedSampler": {"dataset": SET, "num_replicas": 2, "rank": 1, "shuffle": True, "seed": 0,
                           "drop_last": False},
    "BatchSampler": {"sampler": [0, 1], "batch_size": 2, "drop_last": False},
    "make_grid": {"tensor": tinycnn.ones(4, 1, 5, 6), "nrow": 8, "padding": 2, "normalize": True, "value_range": None,
                  "scale_each": False, "pad_value": 0.0},
    "save_image": {"tensor": tinycnn.ones(4, 1, 5, 6), "fp": "image.png", "format": None},
    "read_image": {"path": "none"},
    "Compose": {"transforms": [abs]},
    "Normalize": {"mean": 0.5, "std": 1.0, "inplace": False},
    "RandomShift": {"pixels": 1, "fill": 0.0, "seed": 0},
    "Digits": {"train": True, "transform": None, "scale": 1},
    "MNIST": {"root": "none", "train": True, "transform": None, "target_transform": None, "download": False,
              "normalize": True},
    "FashionMNIST": {"root": "none", "train": True, "transform": None, "target_transform": None, "download": False,
                     "normalize": True},
    "KMNIST": {"root": "none", "train": True, "transform": None, "target_transform": None, "download": False,
               "normalize": True},
    "EMNIST": {"root": "none", "split": "letters", "train": True, "transform": None, "target_transform": None,
               "download": False},
    "QMNIST": {"root": "none", "what": None, "compat": True, "train": True, "transform": None,
               "target_transform": None, "download": False},
    "SVHN": {"root": "none", "split": "train", "transform": None, "target_transform": None, "download": False},
    "CIFAR10": {"root": "none", "train": True, "transform": None, "target_transform": None, "download": False},
    "CIFAR100": {"root": "none", "train": True, "transform": None, "target_transform": None, "download": False},
    "ImageFolder": {"root": "none", "transform": None, "target_transform": None, "loader": len, "is_valid_file": None,
                    "allow_empty": False},
    "DatasetFolder": {"root": "none", "loader": len, "extensions": [".a"], "transform": None, "target_transform": None,
                      "is_valid_file": None, "allow_empty": False},
    "FakeData": {"size": 2, "image_size": (1, 4, 5), "num_classes": 2, "transform": None, "target_transform": None,
                 "random_offset": 0},
    "read_idx": {"path": "none"},
}
ERRORS = (TypeError, ValueError, IndexError, OSError, MemoryError)


def call(name, arguments):
    """Makes the object, and uses it."""
    function = getattr(data, name)
    arguments = dict(arguments)
    made = function(*[arguments.pop(each) for each in ("tensors", "args") if each in arguments], **arguments)
    if name in ("Compose", "Normalize", "RandomShift"):
        made = ArrayDataset(IMAGES, TARGETS, made)
    if hasattr(made, "__getitems__"):
        made[0]
        made.__getitems__([0])
    elif name == "DataLoader" or (name.endswith("Sampler") and name != "Sampler"):
        next(iter(made), None)


def problem(name, arguments, names):
    """What is wrong with how an error is told, or None."""
    try:
        call(name, arguments)
    except ERRORS as error:
        text = str(error)
        if "\n" in text:
            return f"{type(error).__name__} of several lines: {text!r}"
        if not re.match(rf"({'|'.join(map(re.escape, names))})[^:]*: ", text):
            return f"{type(error).__name__} without a name: {text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.filterwarnings("error")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CALLS)
def test_odd_objects_in_every_argument(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    problems = []
    for argument in CALLS[name]:
        for odd in ODD:
            calls_it = callable(odd) and argument in ("transform", "transforms", "collate_fn")
            if calls_it or (isinstance(odd, str) and odd == "a\nb" and argument in ("root", "path", "fp")):
                continue  # an error of its own; a name of a file, which is told as it is
            if argument == "device" and type(odd) is int:
                continue  # a GPU
            if argument in ("num_samples", "padding") and is_int(odd) and odd >= 2**31:
                continue  # as many would fill the memory
            # Data sets of other classes, the transforms they call, devices and files are named instead.
            names = {name, "ArrayDataset", "DataLoader", "Normalize", "RandomShift", "make_grid", "device", str(odd)}
            if found := problem(name, {**CALLS[name], argument: odd}, names):
                problems.append(f"{name}({argument}={' '.join(repr(odd).split()):.50}): {found}")
    assert not problems, "\n".join(problems)


def test_every_public_name_is_called():
    others = {"Dataset", "IterableDataset", "DownloadError", "transforms"}
    assert set(CALLS) | others == set(data.__all__)
    for name, arguments in CALLS.items():
        known = set(inspect.signature(getattr(data, name)).parameters)
        assert known - set(arguments) <= {"name", "indices", "kwargs"}, name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [lambda: SET, lambda: TensorDataset(IMAGES), lambda: data.Subset(SET, [0, 1, 2, 3])])
def test_odd_objects_as_indices(make):
    dataset, problems = make(), []
    name = type(dataset).__name__
    for odd in ODD:
        for fetch in (dataset.__getitem__, dataset.__getitems__):
            try:
                fetch(odd)
            except (TypeError, IndexError) as error:
                if "\n" in str(error) or not str(error).startswith(f"{name}: expected "):
                    problems.append(f"{' '.join(repr(odd).split()):.50}: {error}")
    assert not problems, "\n".join(problems)
