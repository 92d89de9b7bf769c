"""Data sets of other libraries as they are, in our loader: torchvision's and torch's, and Hugging Face's. Their own
loader says what a batch is.

Neither library is among the requirements of the tests: CONTRIBUTING.md says how to run these.
"""

import gzip
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn.data import ConcatDataset, DataLoader, Subset, default_collate, random_split
from tinycnn.data import transforms as T

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
torch = pytest.importorskip("torch", reason="needs torch")
torchvision = pytest.importorskip("torchvision", reason="needs torchvision")
datasets = pytest.importorskip("datasets", reason="needs datasets, Hugging Face's")

from torch.utils import data as torch_data  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

RNG = np.random.default_rng(0)


def assert_same(found, expected):
    """The structure and the values of a batch of ours and of torch's."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, torch.Tensor):
        assert isinstance(found, tinycnn.Tensor)
        assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(found.numpy(), np.asarray(expected))
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for ours, other in zip(found, expected):
            assert_same(ours, other)
    else:
        assert found == expected


def assert_same_batches(dataset, **options):
    ours = list(DataLoader(dataset, **options))
    expected = list(torch_data.DataLoader(dataset, **options))
    assert len(ours) == len(expected) > 0
    for found, other in zip(ours, expected):
        assert_same(found, other)


# --- torchvision ------------------------------------------------------------------------------------------------------

PIPELINES = {
    "v1": torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize((0.5,), (0.2,))]
    ),
    "v2": v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(6)]),
    "bytes": v2.ToImage(),
    "float64": v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float64, scale=True)]),
    "ours": T.Compose([T.ToTensor(), T.Normalize(0.5, 0.2)]),
}


def fake(transform):
    return torchvision.datasets.FakeData(10, (3, 9, 8), 4, transform)


@pytest.mark.parametrize("options", [{"batch_size": 4}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}])
@pytest.mark.parametrize("name", ["v1", "v2", "bytes", "float64"])
def test_fake_data(name, options):
    assert_same_batches(fake(PIPELINES[name]), **options)


def test_our_transforms_of_their_pictures():
    images, targets = next(iter(DataLoader(fake(PIPELINES["ours"]), 10)))
    expected, wanted = next(iter(torch_data.DataLoader(fake(PIPELINES["v1"]), 10)))
    np.testing.assert_allclose(images.numpy(), expected.numpy(), atol=1e-6)
    assert targets.tolist() == wanted.tolist()
    pictures, _ = next(iter(DataLoader(fake(None), 10)))  # PIL images, which torch refuses
    np.testing.assert_allclose(pictures.numpy(), expected.numpy() * 0.2 + 0.5, atol=1e-6)


@pytest.mark.parametrize("transform", ["v1", "v2"])
def test_mnist(mnist_root, tmp_path, transform):
    """The real files, unpacked, as torchvision needs them."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (mnist_root / "MNIST" / "raw").glob("*.gz"):
        with gzip.open(path) as packed, open(raw / path.stem, "wb") as plain:
            shutil.copyfileobj(packed, plain)
    dataset = torchvision.datasets.MNIST(tmp_path, train=False, transform=PIPELINES[transform])
    assert_same_batches(torch_data.Subset(dataset, range(0, 10000, 100)), batch_size=32)
    assert_same_batches(Subset(dataset, range(0, 10000, 100)), batch_size=32)


def test_image_folder(tmp_path):
    for path in ("cat/1.png", "cat/2.png", "emu/1.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (5, 6, 3), np.uint8)).save(tmp_path / path)
    assert_same_batches(torchvision.datasets.ImageFolder(str(tmp_path), PIPELINES["v1"]), batch_size=2)


def test_boxes_and_masks():
    boxes = tv_tensors.BoundingBoxes([[0, 1, 2, 3]], format="XYXY", canvas_size=(4, 5))
    mask, image = tv_tensors.Mask(torch.arange(20).reshape(4, 5)), tv_tensors.Image(torch.rand(3, 4, 5))
    assert_same_batches([(image, {"boxes": boxes, "mask": mask, "id": i}) for i in range(5)], batch_size=2)


# --- torch ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda data: data, lambda data: torch_data.Subset(data, [4, 0, 9]), lambda data: Subset(data, [4, 0, 9]),
    lambda data: Subset(torch_data.Subset(data, [4, 0, 9]), [2, 1]), lambda data: data + data,
    lambda data: torch_data.random_split(data, [7, 3])[1], lambda data: random_split(data, [7, 3])[1],
    lambda data: ConcatDataset([data, data]), lambda data: torch_data.StackDataset(image=data, again=data),
    lambda data: torch_data.TensorDataset(torch.rand(5, 3), torch.arange(5), torch.rand(5) > 0.5),
])  # fmt: skip
def test_data_sets_of_torch(make):
    assert_same_batches(make(fake(PIPELINES["v1"])), batch_size=2)


def test_samplers_of_torch():
    dataset = fake(PIPELINES["v1"])
    assert_same_batches(dataset, batch_size=3, sampler=[4, 2, 2, 0])
    assert_same_batches(dataset, batch_sampler=torch_data.BatchSampler(range(7), 3, False))
    weighted = torch_data.WeightedRandomSampler(torch.ones(10), 20)
    assert [len(targets) for _, targets in DataLoader(dataset, 8, sampler=weighted)] == [8, 8, 4]
    images, _ = next(iter(DataLoader(dataset, 4, collate_fn=torch_data.default_collate)))
    assert isinstance(images, torch.Tensor)


class Stream(torch_data.IterableDataset):
    def __iter__(self):
        return iter([(torch.full((2,), i), i, f"{i}") for i in range(7)])


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}])
def test_an_iterable_data_set_of_torch(options):
    assert_same_batches(Stream(), **options)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_iterable_data_set_of_torch_has_one_worker_and_gives_each_item_once(workers):
    batches = DataLoader(Stream(), batch_size=3, num_workers=workers, multiprocessing_context="thread")
    assert [numbers.tolist() for _, numbers, _ in batches] == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize("tensor, reason", [
    (torch.ones(3, requires_grad=True), "Can't call numpy\\(\\) on Tensor that requires grad"),
    (torch.ones(3, dtype=torch.bfloat16), "Got unsupported ScalarType BFloat16"),
])  # fmt: skip
def test_tensors_that_are_refused(tensor, reason):
    where = "DataLoader: cannot make a tensor of a Tensor"
    with pytest.raises(TypeError, match=rf"^{where} \(item 0\): {reason}.*; pass collate_fn$"):
        default_collate([tensor, tensor])
    with pytest.raises(TypeError, match=rf"^{where}: {reason}.*; pass collate_fn$"):
        next(iter(DataLoader([tensor], batch_size=None)))


# --- Hugging Face -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces():
    pictures = [Image.fromarray(RNG.integers(0, 256, (6, 5, 3), np.uint8)) for _ in range(9)]
    columns = {
        "image": (datasets.Image(), pictures),
        "label": (datasets.ClassLabel(names=["a", "b", "c"]), [i % 3 for i in range(9)]),
        "text": (datasets.Value("string"), [f"{i}" for i in range(9)]),
        "share": (datasets.Value("float32"), [i / 9 for i in range(9)]),
        "whether": (datasets.Value("bool"), [i > 3 for i in range(9)]),
        "pair": (datasets.Sequence(datasets.Value("float32")), [[i, -i] for i in range(9)]),
    }
    features = datasets.Features({name: kind for name, (kind, _) in columns.items()})
    return datasets.Dataset.from_dict({name: values for name, (_, values) in columns.items()}, features=features)


def without_pictures(dataset):
    return dataset.remove_columns("image")


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_formats(faces, form):
    dataset = faces.with_format(form)
    assert_same_batches(dataset, batch_size=4)
    assert_same_batches(dataset.select([7, 1, 3]), batch_size=2)
    assert_same_batches(dataset, batch_sampler=[[0, 5], [3]])
    assert_same_batches(Subset(dataset, [8, 2]), batch_size=4)
    assert_same_batches(dataset["label"], batch_size=4)


def test_items_of_python(faces):
    assert_same_batches(without_pictures(faces), batch_size=4)
    batch = next(iter(DataLoader(faces, 9)))
    assert [*batch] == faces.column_names
    expected = np.stack([np.asarray(picture) for picture in faces["image"]]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(batch["image"].numpy(), expected / np.float32(255))
    assert batch["label"].tolist() == faces["label"][:]


def test_one_item_at_a_time(faces):
    assert_same_batches(faces.with_format("torch"), batch_size=None)
    item = next(iter(DataLoader(faces, batch_size=None)))
    assert isinstance(item["image"], Image.Image)


@pytest.mark.parametrize("to_tensor", [torchvision.transforms.ToTensor(), T.ToTensor()])
def test_transforms(faces, to_tensor):
    calls = []

    def transform(batch):
        calls.append(len(batch["image"]))
        return {"pixels": [to_tensor(image) for image in batch["image"]], "label": batch["label"]}

    loader = DataLoader(faces.with_transform(transform), 4)
    batches = list(loader)
    assert calls == [4, 4, 1]  # a batch at a time, through __getitems__
    expected = next(iter(DataLoader(faces, 9)))
    np.testing.assert_array_equal(np.concatenate([b["pixels"].numpy() for b in batches]), expected["image"].numpy())
    assert [label for b in batches for label in b["label"].tolist()] == expected["label"].tolist()


def test_shuffled(faces):
    loader = DataLoader(faces.with_format("numpy"), 4, shuffle=True, seed=0)
    found = [text for batch in loader for text in batch["text"]]
    assert found != sorted(found) == faces["text"][:]
    parts = random_split(faces.with_format("torch"), [0.5, 0.5], seed=0)
    assert sorted(text for part in parts for batch in DataLoader(part, 2) for text in batch["text"]) == sorted(found)


@pytest.mark.parametrize("options", [{"batch_size": 4}, {"batch_size": None}])
@pytest.mark.parametrize("form", [None, "numpy", "torch"])
def test_streams(faces, form, options):
    stream = without_pictures(faces).to_iterable_dataset(num_shards=2)
    assert_same_batches(stream if form is None else stream.with_format(form), **options)


def test_a_missing_value_is_named():
    dataset = datasets.Dataset.from_dict({"x": [1, None, 3]})
    message = r"^DataLoader: cannot make a tensor of a NoneType \(item 1\); pass collate_fn$"
    with pytest.raises(TypeError, match=message):
        next(iter(DataLoader(dataset, 3)))


def test_the_code_block_of_the_document_runs(faces, monkeypatch):
    """With a small data set in the place of one that would be downloaded."""
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    (block,) = [each for each in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import datasets" in each]
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: faces)
    names = {
        "DataLoader": DataLoader,
        "transform": T.ToTensor(),
        "model": tinycnn.nn.Sequential(tinycnn.nn.Flatten(), tinycnn.nn.Linear(90, 3)),
        "criterion": tinycnn.nn.CrossEntropyLoss(),
    }
    exec(block, names)
    assert np.isfinite(names["loss"].item())
