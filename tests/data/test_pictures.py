"""Pictures that a transform sees as PIL images: the same numbers picture by picture and a batch at a time."""

import numpy as np
import pytest

import tinycnn
from tinycnn.data import DataLoader, default_collate
from tinycnn.data import transforms as T
from tinycnn.data.pictures import PictureDataset
from tinycnn.data.transforms import v2

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

RNG = np.random.default_rng(0)
GREY, COLOUR = RNG.integers(0, 256, (11, 6, 7), np.uint8), RNG.integers(0, 256, (11, 6, 7, 3), np.uint8)
TARGETS = RNG.integers(0, 4, 11)
NORMALIZE = T.Normalize((0.1307,), (0.3081,))


class Pets(PictureDataset):
    """Of either kind of pixels."""


def pets(data=GREY, transform=None, target_transform=None, targets=TARGETS):
    return Pets(data, targets, "abcd", transform, target_transform)


def one_by_one(transform, data=GREY):
    """What the transform makes of PIL images, one after the other."""
    return np.stack([transform(Image.fromarray(pixels)).numpy() for pixels in data])


class Own(T.ToTensor):
    def forward(self, img):
        return super().forward(img) * 2


PIPELINES = {
    "ToTensor": T.ToTensor(),
    "usual": T.Compose([T.ToTensor(), NORMALIZE]),
    "nested": T.Compose([T.Compose([T.ToTensor()]), T.Compose([NORMALIZE])]),
    "then one by one": T.Compose([T.ToTensor(), NORMALIZE, T.Lambda(lambda x: x.view(-1))]),
    "at first one by one": T.Compose([T.Resize(9), T.ToTensor(), NORMALIZE]),
    "in the middle": T.Compose([T.Pad(1), T.ToTensor(), NORMALIZE, T.CenterCrop(4)]),
    "never": T.Compose([T.Pad(1), Own(), NORMALIZE]),
    "its own function": lambda picture: tinycnn.tensor(np.asarray(picture)) * 2,
    "v2": v2.Compose([v2.ToImage(), v2.ToDtype("float32", scale=True), v2.Normalize([0.5], [0.5])]),
    "bytes": T.PILToTensor(),
    "twice scaled": T.Compose([T.PILToTensor(), T.ConvertImageDtype("float32"), NORMALIZE]),
}


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("data", [GREY, COLOUR], ids=["grey", "colour"])
def test_batches_have_the_bits_of_items(name, data):
    transform = PIPELINES[name]
    expected, dataset = one_by_one(transform, data), pets(data, transform)
    images, targets = next(iter(DataLoader(dataset, 11)))
    assert (images.dtype, targets.dtype) == (expected.dtype, np.int64)
    np.testing.assert_array_equal(images.numpy(), expected)
    np.testing.assert_array_equal(targets.numpy(), TARGETS)
    for i in (0, 5, -1):
        image, target = dataset[i]
        np.testing.assert_array_equal(image.numpy(), expected[i])
        assert type(target) is int
        assert target == TARGETS[i]


@pytest.mark.parametrize("name, calls", [("usual", 0), ("at first one by one", 1)])
def test_from_to_tensor_on_a_batch_is_one(name, calls, monkeypatch):
    seen = []
    monkeypatch.setattr(T.Resize, "forward", lambda self, img: seen.append("Resize") or img)
    monkeypatch.setattr(T.ToTensor, "forward", lambda self, img: seen.append("ToTensor"))
    monkeypatch.setattr(T.Normalize, "forward", lambda self, img: seen.append("Normalize"))
    list(DataLoader(pets(transform=PIPELINES[name]), 11))
    assert seen == ["Resize"] * 11 * calls


def test_pictures_of_several_sizes_are_finished_one_by_one():
    sizes = iter([4, 5, 4])
    transform = T.Compose([T.Lambda(lambda picture: picture.resize((next(sizes), 4))), T.ToTensor(), NORMALIZE])
    samples = pets(transform=transform).__getitems__([0, 1, 2])
    assert [image.shape[-1] for image, _ in samples] == [4, 5, 4]


def test_without_a_transform_items_are_pil_images():
    picture, target = pets(COLOUR)[3]
    assert (picture.mode, picture.size, target) == ("RGB", (7, 6), TARGETS[3])
    assert pets(GREY)[3][0].mode == "L"
    images, _ = next(iter(DataLoader(pets(), 11)))
    np.testing.assert_array_equal(images.numpy(), GREY[:, None] / np.float32(255))


def test_normalize_alone_is_refused():
    refusal = r"^Normalize\(.*\): expected a Tensor .* got a PIL image \(mode L\); put ToTensor\(\) before it$"
    with pytest.raises(TypeError, match=refusal):
        pets(transform=NORMALIZE)[0]
    with pytest.raises(TypeError, match=refusal):
        list(DataLoader(pets(transform=NORMALIZE), 4))


def test_targets_are_transformed_too():
    dataset = pets(transform=PIPELINES["usual"], target_transform=lambda target: target * 10)
    assert dataset[2][1] == TARGETS[2] * 10
    assert next(iter(DataLoader(dataset, 11)))[1].tolist() == (TARGETS * 10).tolist()


@pytest.mark.parametrize("kind", [list, tinycnn.tensor])
def test_targets_of_other_kinds(kind):
    dataset = pets(transform=T.ToTensor(), targets=kind(TARGETS.tolist()))
    assert dataset[2][1] == TARGETS[2]
    assert next(iter(DataLoader(dataset, 11)))[1].tolist() == TARGETS.tolist()


def test_data_and_targets_may_be_set():
    dataset = pets(transform=PIPELINES["usual"])
    keep = dataset.targets == 2
    dataset.data, dataset.targets = dataset.data[keep], dataset.targets[keep]
    assert len(dataset) == keep.sum() > 0
    images, targets = next(iter(DataLoader(dataset, 11)))
    np.testing.assert_array_equal(images.numpy(), one_by_one(PIPELINES["usual"], GREY[keep]))
    assert set(targets.tolist()) == {2}
    dataset.transform = T.ToTensor()
    np.testing.assert_array_equal(dataset[0][0].numpy(), GREY[keep][0][None] / np.float32(255))


def test_a_transform_may_be_changed_in_place():
    transform = T.Compose([T.ToTensor()])
    dataset = pets(transform=transform)
    transform.transforms.append(NORMALIZE)
    np.testing.assert_array_equal(dataset[1][0].numpy(), one_by_one(PIPELINES["usual"])[1])


def test_a_subclass_with_items_of_its_own_has_them_in_batches():
    class Numbered(Pets):
        def __getitem__(self, index):
            return (*super().__getitem__(index), index)

    dataset = Numbered(GREY, TARGETS, "abcd", T.ToTensor())
    assert next(iter(DataLoader(dataset, 4)))[2].tolist() == [0, 1, 2, 3]


def test_batches_may_be_changed():
    dataset = pets(transform=T.PILToTensor())
    images, targets = dataset.__getitems__([0, 1])
    images.zero_()
    targets.zero_()
    np.testing.assert_array_equal(dataset[0][0].numpy()[0], GREY[0])
    assert dataset[1][1] == TARGETS[1]


def test_all_images_at_once():
    shift = T.RandomShift(1, seed=0)
    dataset = pets(transform=T.Compose([PIPELINES["usual"], shift]))
    np.testing.assert_array_equal(dataset.images, one_by_one(PIPELINES["usual"]))
    assert dataset.background == NORMALIZE.background
    assert dataset.to("cpu") is dataset
    for name in ("at first one by one", "then one by one", "its own function"):
        with pytest.raises(TypeError, match="^Pets: expected a transform of ToTensor, Normalize and others that "):
            _ = pets(transform=PIPELINES[name]).images


def test_names():
    dataset = pets(transform=T.ToTensor())
    assert dataset.class_to_idx == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert repr(dataset) == "Pets(11 images of 1×6×7, 4 classes, ToTensor())"
    with pytest.raises(TypeError, match=r"^Pets\(transform\): expected a function or None, got 3$"):
        dataset.transform = 3
    with pytest.raises(IndexError, match=r"^Pets: expected indices within 0..10, got 11$"):
        dataset[11]


def test_collate_of_its_own():
    loader = DataLoader(pets(transform=PIPELINES["usual"]), 4, collate_fn=default_collate)
    np.testing.assert_array_equal(next(iter(loader))[0].numpy(), one_by_one(PIPELINES["usual"])[:4])


@pytest.mark.gpu
def test_on_a_gpu():
    shift = T.RandomShift(1, fill=2.0, seed=0)
    dataset = pets(transform=T.Compose([PIPELINES["usual"], shift]))
    there = dataset.to("cuda")
    found, _ = next(iter(DataLoader(there, 11)))
    T.RandomShift(1, fill=2.0, seed=0)
    dataset.transform = T.Compose([PIPELINES["usual"], T.RandomShift(1, fill=2.0, seed=0)])
    expected, _ = next(iter(DataLoader(dataset, 11)))
    np.testing.assert_array_equal(found.cpu().numpy(), expected.numpy())
    assert there.background == dataset.background
    with pytest.raises(TypeError, match="^Pets: expected a transform of ToTensor"):
        pets(transform=PIPELINES["in the middle"]).to("cuda")
