"""CIFAR: small files of the published structure, and pickles that are refused."""

import hashlib
import os
import pickle
import re
import tarfile

import numpy as np
import pytest

from tinycnn.data import CIFAR10, CIFAR100, DataLoader
from tinycnn.data import transforms as T
from tinycnn.data.cifar import read_batch

RNG = np.random.default_rng(0)
PIXELS = {name: RNG.integers(0, 256, (4, 3072), np.uint8) for name in (*CIFAR10.train_files, "test_batch")}
LABELS = {name: RNG.integers(0, 10, 4).tolist() for name in PIXELS}
NAMES = [f"class {i}" for i in range(10)]


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture(params=[2, 4])
def folder(request, tmp_path, monkeypatch):
    """Files of CIFAR-10's names, by two protocols of pickle, whose checksums are made the published ones."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    sums = {}
    for name, pixels in PIXELS.items():
        content = pickle.dumps({"data": pixels, "labels": LABELS[name], "batch_label": "x"}, request.param)
        (folder / name).write_bytes(content)
        sums[name] = md5(content)
    content = pickle.dumps({"label_names": NAMES, "num_vis": 3072}, request.param)
    (folder / "batches.meta").write_bytes(content)
    monkeypatch.setattr(CIFAR10, "train_files", {name: sums[name] for name in CIFAR10.train_files})
    monkeypatch.setattr(CIFAR10, "test_files", {"test_batch": sums["test_batch"]})
    monkeypatch.setattr(CIFAR10, "names_file", {"batches.meta": md5(content)})
    return folder


@pytest.mark.parametrize("train", [True, False])
def test_pictures_and_classes(folder, train):
    dataset = CIFAR10(folder.parent, train=train, transform=T.ToTensor())
    names = list(CIFAR10.train_files) if train else ["test_batch"]
    expected = np.concatenate([PIXELS[name] for name in names]).reshape(-1, 3, 32, 32)
    assert dataset.data.shape == (len(expected), 32, 32, 3)
    assert dataset.classes == NAMES
    assert dataset.targets == [label for name in names for label in LABELS[name]]
    images, targets = next(iter(DataLoader(dataset, len(expected))))
    np.testing.assert_array_equal(images.numpy(), expected.astype(np.float32) / np.float32(255))
    assert targets.tolist() == dataset.targets


def test_missing_and_damaged_files(folder):
    with pytest.raises(FileNotFoundError, match="^CIFAR100: no train and meta in .*cifar-100-python; pass "):
        CIFAR100(folder.parent)
    path = folder / "data_batch_3"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    message = f"^{re.escape(str(path))}: expected MD5 {md5(content)}, got {md5(content[:-1])}; delete the file and load"
    with pytest.raises(ValueError, match=message):
        CIFAR10(folder.parent)
    assert len(CIFAR10(folder.parent, train=False)) == 4


def test_an_archive_that_was_downloaded_is_unpacked(folder, tmp_path):
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "cifar-10-batches-py")
    dataset = CIFAR10(folder.parent)
    there = tmp_path / "other" / "cifar-10-batches-py"
    there.mkdir(parents=True)
    for name, content in dataset._unpack(archive):
        (there / name).write_bytes(content)
    assert sorted(path.name for path in there.iterdir()) == sorted(path.name for path in folder.iterdir())
    np.testing.assert_array_equal(CIFAR10(there.parent).data, dataset.data)


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("content, reason", [
    (pickle.dumps(Runs()), r"it refers to (posix|nt)\.mkdir"),
    (pickle.dumps({"data": Runs()}, 2), r"it refers to (posix|nt)\.mkdir"),
    (pickle.dumps({"data": np.dtype("O").type}), "it refers to numpy.object_"),
    (pickle.dumps({"data": np.ones(3)}), "an array of f8, where one of bytes was expected"),
    (pickle.dumps({"data": np.array([Runs()])}, 4), "it refers to "),
    (pickle.dumps([1]), "it holds a list, where a dict was expected"),
    (pickle.dumps({"a": 1})[:-3], "."),
    (b"", "."),
    (b"<html>", "."),
])  # fmt: skip
def test_other_pickles_are_refused_and_run_nothing(content, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^there: expected a file of CIFAR, got another pickle: {reason}") as caught:
        read_batch(content, "there")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
