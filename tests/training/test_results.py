"""A run is read back as it was, and what is none is refused in one line."""

import json

import numpy as np
import pytest

import tinycnn
from tinycnn.data import MNIST, ArrayDataset
from tinycnn.data.transforms import Compose, Normalize, ToTensor
from tinycnn.models import model_for
from tinycnn.serialization import load_metadata
from tinycnn.training.evaluation import Evaluation, evaluate
from tinycnn.training.results import FORMAT, DataInfo, RunError, read_run, read_weights

INFO = DataInfo((1, 28, 28), tuple("0123456789"), (0.25,), (0.5,))
RECIPE = {"dataset": "mnist", "model": "lenet5", "model_options": {}, "epochs": 2}
FIGURES = {"epoch": 1, "train_loss": 0.5, "test_accuracy": 0.75}


@pytest.fixture
def run(tmp_path):
    """The folder of a run, and its net."""
    tinycnn.manual_seed(0)
    net = model_for("lenet5", INFO.image_shape, 10)
    versions = {"tinycnn": "0.1.0"}
    header = {"format": FORMAT, "dataset": "MNIST", "settings": RECIPE, "device": "cpu", "versions": versions}
    (tmp_path / "metrics.jsonl").write_text(f"{json.dumps(header)}\n{json.dumps(FIGURES)}\n")
    save(tmp_path, net)
    return tmp_path, net


def save(folder, net, **changes):
    metadata = {"format": str(FORMAT), "tinycnn": "0.1.0", "dataset": "MNIST", "epoch": "1", "accuracy": "0.75",
                "seed": "0", "recipe": json.dumps(RECIPE), "data": INFO.to_json(), **changes}  # fmt: skip
    tinycnn.save(net.state_dict(), folder / "weights.safetensors", {k: v for k, v in metadata.items() if v is not None})


def test_a_run_is_read_back(run):
    folder, net = run
    found = read_run(folder)
    assert (found.dataset, found.settings, found.metrics) == ("MNIST", RECIPE, [FIGURES])
    assert (found.name, found.computing["device"], found.versions["tinycnn"]) == (folder.name, "cpu", "0.1.0")
    x = tinycnn.randn(3, 1, 28, 28)
    for model in (found.model(), read_weights(folder / "weights.safetensors").model()):
        assert not model.training
        assert tinycnn.equal(model(x), net(x))
    weights = read_weights(folder)
    assert (weights.epoch, weights.accuracy, weights.recipe, weights.data) == (1, 0.75, RECIPE, INFO)


def test_the_weights_may_lie_anywhere(run, tmp_path_factory):
    folder, _ = run
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "net.safetensors"
    (folder / "weights.safetensors").rename(elsewhere)
    assert read_weights(elsewhere).data == INFO
    with pytest.raises(RunError, match="expected the weights of a run, there is no weights.safetensors: no epoch was"):
        read_run(folder).weights()


def refused(function, path, message):
    with pytest.raises(RunError) as raised:
        function(path)
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(str(path)[:20])
    assert message in text
    assert len(text) < 500


@pytest.mark.parametrize("content, message", [
    (None, "expected the folder of a run, there is no metrics.jsonl"),
    (b"", "expected the settings of a run in line 1, got None"),
    (b"\xff", "expected JSON in each line"),
    (b"{\n", "expected JSON in each line"),
    (b"[" * 100_000, "expected JSON in each line"),
    (b"3\n", "expected the settings of a run in line 1, got 3"),
    (b'{"dataset": "MNIST", "settings": {}, "versions": {"tinycnn": "9"}}',
     "expected a run in format 1, got None, written by tinycnn 9"),
    (b'{"format": 2, "dataset": "MNIST", "settings": {}, "versions": {}}', "expected a run in format 1, got 2"),
    (b'{"format": 1, "dataset": "MNIST", "settings": {}, "versions": {}}\n{"loss": 1}\n',
     "expected the figures of an epoch in line 2, got {'loss': 1}"),
])  # fmt: skip
def test_what_is_no_run(tmp_path, content, message):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_bytes(content)
    refused(read_run, tmp_path, message)


@pytest.mark.parametrize("changes, message", [
    ({"recipe": None}, "no recipe in its metadata"),
    ({"format": None}, "expected a run in format 1, got None"),
    ({"format": "2"}, "expected a run in format 1, got '2', written by tinycnn 0.1.0"),
    ({"recipe": "{"}, "damaged metadata"),
    ({"recipe": "[]"}, "damaged metadata: expected a recipe that names a model"),
    ({"data": "{}"}, "damaged metadata: expected image_shape, classes, mean, std"),
    ({"data": None}, "damaged metadata: 'data'"),
    ({"epoch": "x"}, "damaged metadata"),
])  # fmt: skip
def test_what_are_no_weights_of_a_run(run, changes, message):
    folder, net = run
    save(folder, net, **changes)
    refused(read_weights, folder, message)


@pytest.mark.parametrize("changes, message", [
    ({"recipe": json.dumps({**RECIPE, "model": "resnet18"})}, "cannot make the model 'resnet18': "),
    ({"recipe": json.dumps({**RECIPE, "model": "my_net"})}, "cannot make the model 'my_net': "),
    ({"recipe": json.dumps({**RECIPE, "model_options": {"wings": 2}})}, "has no option 'wings'"),
    ({"data": DataInfo((1, 28, 28), tuple("abc"), (0.0,), (1.0,)).to_json()}, "wrong shapes: classifier.5"),
])  # fmt: skip
def test_weights_of_another_net(run, changes, message):
    folder, net = run
    save(folder, net, **changes)
    refused(lambda path: read_weights(path).model(), folder, message)


def test_damaged_weights(run):
    folder, _ = run
    path = folder / "weights.safetensors"
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:100], whole[:-1], whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="weights.safetensors") as raised:
            read_weights(path).model()
        assert "\n" not in str(raised.value)


def test_metadata_of_any_file(tmp_path):
    tinycnn.save({"x": tinycnn.ones(2)}, tmp_path / "a.safetensors", {"ü": "\0"})
    assert load_metadata(tmp_path / "a.safetensors") == {"ü": "\0"}
    tinycnn.save({"x": tinycnn.ones(2)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="load_metadata: .*a.pt is not a readable safetensors file: "):
        load_metadata(tmp_path / "a.pt")
    with pytest.raises(FileNotFoundError, match="load_metadata: no file .*none"):
        load_metadata(tmp_path / "none")


# --- the data -----------------------------------------------------------------------------------------------


def test_what_data_sets_tell():
    pixels = np.zeros((2, 3, 5, 4), np.uint8)
    colours = ArrayDataset(pixels, [0, 1], classes=["cat", "dog"], normalize=([0.5, 0.25, 0.125], [0.5, 1, 2]))
    info = DataInfo.of(colours)
    assert info == DataInfo((3, 5, 4), ("cat", "dog"), (0.5, 0.25, 0.125), (0.5, 1.0, 2.0))
    assert DataInfo.from_json(info.to_json()) == info
    assert DataInfo.of(ArrayDataset(pixels, [0, 1])) == DataInfo((3, 5, 4), (), (0.0,), (1.0,))


def test_the_real_mnist_tells(mnist_root):
    usual = MNIST(mnist_root, train=False)
    assert DataInfo.of(usual).mean == pytest.approx([0.1307])
    own = MNIST(mnist_root, train=False, transform=Compose([ToTensor(), Compose([Normalize(0.5, 0.25)])]))
    assert DataInfo.of(own) == DataInfo((1, 28, 28), tuple("0123456789"), (0.5,), (0.25,))


def test_data_that_do_not_fit(run):
    folder, _ = run
    weights = read_weights(folder)
    images = np.zeros((1, 1, 28, 28), np.uint8)
    weights.check_fits(ArrayDataset(images, [0], classes="0123456789"), "same")
    with pytest.raises(RunError, match=r"knows 10 classes \(0, 1, .*, 9\), letters has 47 classes \(0, 1, .* …\)$"):
        weights.check_fits(ArrayDataset(images, [0], classes=list(map(str, range(47)))), "letters")
    with pytest.raises(RunError, match="the net takes pictures of 1×28×28, big has 1×30×28$"):
        weights.check_fits(ArrayDataset(np.zeros((1, 1, 30, 28)), [0], classes="0123456789"), "big")


# --- evaluation ---------------------------------------------------------------------------------------------


def test_evaluation_counts():
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0, 0.8, 0.2], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    found = Evaluation(probabilities, np.array([0, 1, 2, 1, 2]), ("a", "b", "c"), 0.5)
    assert found.accuracy == 0.4
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 2, 0]]
    assert found.mistakes() == [(2, 2, 1), (1, 1, 0)]


def test_evaluating_runs_the_net_on_all_pictures():
    """1,203 pictures: more than two batches, the last one smaller."""
    generator = np.random.default_rng(0)
    data = ArrayDataset(generator.random((1203, 1, 4, 4)), generator.integers(0, 3, 1203), classes="abc")
    net = tinycnn.nn.Sequential(tinycnn.nn.Flatten(), tinycnn.nn.Dropout(), tinycnn.nn.Linear(16, 3))
    found = evaluate(net, data, tinycnn.backend.device("cpu"))
    scores = data.images.reshape(1203, 16) @ net[2].weight.detach().numpy().T + net[2].bias.detach().numpy()
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    np.testing.assert_allclose(found.probabilities, np.exp(logs), rtol=1e-5)
    assert found.loss == pytest.approx(-logs[np.arange(1203), data.targets].mean(), rel=1e-5)
    assert found.targets.tolist() == data.targets.tolist()
