"""SVHN: small files of the published structure. Items are compared with torchvision's in test_torchvision.py."""

import re
import sys

import numpy as np
import pytest

from tests.data.files import md5
from tinycnn._extras import how_to_install
from tinycnn.data import SVHN, DataLoader
from tinycnn.data import transforms as T

io = pytest.importorskip("scipy.io", reason="needs SciPy")

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (32, 32, 3, 5), np.uint8)
CODES = np.array([[10], [1], [9], [2], [10]], np.uint8)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with a file of test pictures, whose checksum is made the published one."""
    path = tmp_path / "test_32x32.mat"
    io.savemat(path, {"X": PIXELS, "y": CODES}, do_compression=True)
    monkeypatch.setitem(SVHN.files, "test", (path.name, md5(path.read_bytes())))
    return tmp_path


def test_pictures_and_classes(root):
    dataset = SVHN(root, "test", T.ToTensor())
    assert (dataset.data.shape, dataset.data.dtype) == ((5, 3, 32, 32), np.uint8)
    assert dataset.labels.tolist() == dataset.targets.tolist() == [0, 1, 9, 2, 0]
    images, targets = next(iter(DataLoader(dataset, 5)))
    np.testing.assert_array_equal(images.numpy(), PIXELS.transpose(3, 2, 0, 1) / np.float32(255))
    assert targets.tolist() == [0, 1, 9, 2, 0]
    np.testing.assert_array_equal(dataset[-2][0].numpy(), images.numpy()[3])
    assert repr(dataset) == "SVHN(5 images of 3×32×32, 10 classes, ToTensor())"
    dataset.labels = dataset.labels + 1
    assert dataset[1][1] == 2


def test_without_a_transform_items_are_pil_images(root):
    pytest.importorskip("PIL", reason="needs Pillow")
    picture, target = SVHN(root, "test", target_transform=lambda target: -target)[2]
    np.testing.assert_array_equal(np.asarray(picture), PIXELS[..., 2])
    assert target == -9


def test_refusals(root, monkeypatch):
    with pytest.raises(FileNotFoundError, match=f"^SVHN: no train_32x32.mat in {re.escape(str(root))}; pass download="):
        SVHN(root)
    with pytest.raises(ValueError, match="^SVHN: expected split as 'train', 'test' or 'extra', got 'valid'$"):
        SVHN(root, "valid")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "scipy.io", None)
        needed = re.escape(f"SVHN: needs SciPy, which is not installed: {how_to_install('svhn')}")
        with pytest.raises(ImportError, match=f"^{needed}$"):
            SVHN(root, "test")
    path = root / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: expected MD5 \w+, got \w+; delete the file and "):
        SVHN(root, "test")
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: expected a file, got a folder; remove it$"):
        SVHN(root, "test")
