"""Files in folders, and made-up pictures."""

from pathlib import Path

import numpy as np
import pytest

from tinycnn.data import DataLoader, DatasetFolder, FakeData, ImageFolder, make_grid, read_image, save_image
from tinycnn.data import transforms as T

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for path in ("emu/2.png", "cat/1.PNG", "emu/a/1.png", "emu/1.bmp", "cat/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if not path.endswith("txt"):
            Image.fromarray(rng.integers(0, 256, (4, 5), np.uint8)).save(tmp_path / path)
    (tmp_path / "cat/notes.txt").write_text("x")
    (tmp_path / "readme.txt").write_text("x")
    return tmp_path


def test_image_folder(root):
    dataset = ImageFolder(root, T.ToTensor(), lambda target: target + 1)
    assert (dataset.classes, dataset.class_to_idx) == (["cat", "emu"], {"cat": 0, "emu": 1})
    names = [path.removeprefix(str(root)).replace("\\", "/") for path, _ in dataset.samples]
    assert names == ["/cat/1.PNG", "/emu/1.bmp", "/emu/2.png", "/emu/a/1.png"]
    assert dataset.targets == [0, 1, 1, 1]
    assert dataset.imgs is dataset.samples
    image, target = dataset[-1]
    assert (tuple(image.shape), target) == ((3, 4, 5), 2)
    np.testing.assert_array_equal(image.numpy()[0], np.asarray(Image.open(root / "emu/a/1.png")) / np.float32(255))
    images, targets = next(iter(DataLoader(dataset, 4)))
    assert (tuple(images.shape), targets.tolist()) == ((4, 3, 4, 5), [1, 2, 2, 2])


def test_dataset_folder(root):
    dataset = DatasetFolder(root, str, ".txt", allow_empty=True)
    assert [path for path, _ in dataset.samples] == [str(root / "cat" / "notes.txt")]
    dataset = DatasetFolder(root, str, is_valid_file=lambda path: "1" in Path(path).name)
    assert len(dataset) == 3
    with pytest.raises(FileNotFoundError, match=r"^DatasetFolder: no files, of .txt, in .* for the classes \['emu'\]$"):
        DatasetFolder(root, str, ".txt")
    with pytest.raises(ValueError, match="^DatasetFolder: expected either extensions or is_valid_file, got None$"):
        DatasetFolder(root, str)
    with pytest.raises(FileNotFoundError, match="^ImageFolder: expected a folder for each class in .*, got none$"):
        ImageFolder(root / "cat")
    with pytest.raises(FileNotFoundError, match="^ImageFolder: cannot read .*nothing: No such file or directory$"):
        ImageFolder(root / "nothing")


def test_a_subclass_chooses_classes_and_files(root):
    class Some(ImageFolder):
        def find_classes(self, directory):
            return ["emu"], {"emu": 7}

        @classmethod
        def make_dataset(cls, *arguments):
            return super().make_dataset(*arguments)[1:]

    dataset = Some(root)
    assert (dataset.classes, dataset.class_to_idx, dataset.targets) == (["emu"], {"emu": 7}, [7, 7])
    assert Path(dataset.samples[0][0]).name == "2.png"


def test_what_is_no_image_is_named(root):
    (root / "cat" / "2.png").write_bytes(b"x")
    with pytest.raises(OSError, match=r"^default_loader: cannot read .*2.png: it is no image$"):
        ImageFolder(root)[1]


def test_fake_data():
    dataset = FakeData(5, (1, 6, 7), 3, T.ToTensor())
    images, targets = next(iter(DataLoader(dataset, 5)))
    assert tuple(images.shape) == (5, 1, 6, 7)
    assert set(targets.tolist()) <= {0, 1, 2}
    np.testing.assert_array_equal(dataset[-1][0].numpy(), images.numpy()[4])
    assert FakeData(3, (3, 4, 5))[0][0].mode == "RGB"
    assert not np.array_equal(FakeData(5, (1, 6, 7), 3, T.ToTensor(), random_offset=9)[0][0].numpy(), images.numpy()[0])
    with pytest.raises(ValueError, match=r"^FakeData: expected image_size as \(1 or 3, height, width\), got \("):
        FakeData(3, (2, 3, 4))


# --- images -----------------------------------------------------------------------------------------------------------


def test_an_image_is_read_as_it_was_saved(tmp_path):
    import tinycnn

    x = tinycnn.rand(3, 3, 4, 5)
    save_image(x, tmp_path / "grid.png", nrow=2)
    expected = (make_grid(x, nrow=2).numpy() * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / "grid.png").numpy(), expected)
    with pytest.raises(OSError, match="^read_image: cannot read .*nothing: No such file or directory$"):
        read_image(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"^save_image: cannot write .*a.xyz in format None: unknown file extension"):
        save_image(x, str(tmp_path / "a.xyz"))
    with pytest.raises(OSError, match=r"^save_image: cannot write .*a.png: No such file or directory$"):
        save_image(x, str(tmp_path / "n" / "a.png"))
    with pytest.raises(TypeError, match="^make_grid: expected value_range as a tuple"):
        make_grid(x, normalize=True, value_range=3)
    before = x.numpy().copy()
    make_grid(x, normalize=True)
    np.testing.assert_array_equal(x.numpy(), before)
    make_grid(x[0]).zero_()
    np.testing.assert_array_equal(x.numpy(), before)
