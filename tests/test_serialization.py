"""Saving and loading: round trips, files that are complete or untouched, and files that are not what they should be."""

import json
import os
import re
import stat
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

import tinycnn
from tinycnn import Tensor, nn, tensor
from tinycnn.autograd import wrap
from tinycnn.interop import safetensors_file
from tinycnn.models import LeNet5


def state():
    rng = np.random.default_rng(0)
    return {
        "weight": tensor(rng.standard_normal((3, 4)), dtype="float32"),
        "double": tensor(rng.standard_normal(5)),
        "count": tensor(3),
        "mask": tensor(np.array([True, False])),
        "bytes": tensor(np.arange(4, dtype=np.uint8)),
        "half": tensor(np.arange(4, dtype=np.float16)),
        "empty": tensor(np.zeros((0, 2))),
    }


def assert_equal(loaded, expected):
    assert loaded.keys() == expected.keys()
    for key, value in expected.items():
        assert (loaded[key].shape, loaded[key].dtype) == (value.shape, value.dtype), key
        np.testing.assert_array_equal(loaded[key].numpy(), value.detach().numpy(), err_msg=key)


def test_round_trip(tmp_path):
    path = tmp_path / "state.safetensors"
    tinycnn.save(state(), path)
    assert_equal(tinycnn.load(path), state())
    assert_equal(tinycnn.load(str(path)), state())


def test_the_device_to_load_to(tmp_path):
    tinycnn.save({"x": tinycnn.ones(2)}, tmp_path / "x.safetensors")
    assert tinycnn.load(tmp_path / "x.safetensors", map_location="cpu")["x"].device == "cpu"
    with pytest.raises((ValueError, RuntimeError), match="elsewhere"):
        tinycnn.load(tmp_path / "x.safetensors", map_location="elsewhere")


def test_round_trip_of_a_net(tmp_path):
    net, other = LeNet5(), LeNet5()
    tinycnn.save(net.state_dict(), tmp_path / "net.safetensors")
    other.load_state_dict(tinycnn.load(tmp_path / "net.safetensors"))
    x = tensor(np.random.default_rng(1).standard_normal((2, 1, 28, 28)), dtype="float32")
    np.testing.assert_array_equal(net(x).detach().numpy(), other(x).detach().numpy())


def test_loaded_tensors_can_be_changed_and_trained(tmp_path):
    tinycnn.save(state(), tmp_path / "a.safetensors")
    loaded = tinycnn.load(tmp_path / "a.safetensors")
    loaded["weight"].zero_()
    loaded["double"].requires_grad_()
    loaded["double"].sum().backward()
    assert_equal(tinycnn.load(tmp_path / "a.safetensors"), state())  # the file is not mapped into memory


def test_memory_orders_and_shared_tensors(tmp_path):
    """The format is row-major and knows no sharing: what lies otherwise is copied."""
    array = np.arange(24.0).reshape(2, 3, 4)
    tied = tensor(array)
    saved = {
        "transposed": tinycnn.from_numpy(array.transpose(2, 0, 1)),
        "reversed": tinycnn.from_numpy(array[::-1, :, ::2]),
        "broadcast": tinycnn.from_numpy(np.broadcast_to(array[0, 0], (3, 4))),
        "one": tied,
        "the same": tied,
    }
    tinycnn.save(saved, tmp_path / "a.safetensors")
    assert_equal(tinycnn.load(tmp_path / "a.safetensors"), saved)


def test_equal_states_give_equal_files(tmp_path):
    one = {"epoch": "3", "accuracy": "0.99"}
    tinycnn.save(state(), tmp_path / "a.safetensors", one)
    tinycnn.save(dict(reversed(state().items())), tmp_path / "b.safetensors", dict(reversed(one.items())))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_other_libraries_read_it(tmp_path):
    tinycnn.save(state(), tmp_path / "a.safetensors", {"epoch": "3", "accuracy": "0.99"})
    with safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert file.metadata() == {"epoch": "3", "accuracy": "0.99"}
        assert set(file.keys()) == state().keys()
        np.testing.assert_array_equal(file.get_tensor("weight"), state()["weight"].numpy())


@pytest.mark.torch
def test_torch_reads_and_writes_it(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    tinycnn.save(state(), tmp_path / "a.safetensors")
    theirs = load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(theirs["weight"].numpy(), state()["weight"].numpy())
    layer = torch.nn.Conv2d(1, 2, 3)
    save_file(layer.state_dict(), tmp_path / "b.safetensors")
    ours = nn.Conv2d(1, 2, 3)
    ours.load_state_dict(tinycnn.load(tmp_path / "b.safetensors"))
    np.testing.assert_array_equal(ours.weight.detach().numpy(), layer.weight.detach().numpy())


# --- writing ----------------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    """Of every system call: tests/test_files.py."""
    path = tmp_path / "a.safetensors"
    tinycnn.save(state(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"save: cannot write .*a.safetensors: No space left on device"):
        tinycnn.save({"other": tensor(1.0)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_what_is_no_tensor_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="save: expected Tensors, 'epoch' is int"):
        tinycnn.save({"weight": tensor(1.0), "epoch": 3}, tmp_path / "a.safetensors")
    with pytest.raises(TypeError, match="save: expected strings as metadata, 'epoch' is int"):
        tinycnn.save({"weight": tensor(1.0)}, tmp_path / "a.safetensors", {"epoch": 3})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("state_dict, metadata, error, message", [
    (None, None, TypeError, "expected state_dict as a mapping, got NoneType"),
    ([tensor(1.0)], None, TypeError, "expected state_dict as a mapping, got list"),
    (tensor(1.0), None, TypeError, "expected state_dict as a mapping, got Tensor"),
    (nn.Linear(1, 1), None, TypeError, "expected state_dict as a mapping, got Linear"),
    ({1: tensor(1.0)}, None, TypeError, r"expected strings as names in state_dict, got 1 \(int\)"),
    ({"a": np.ones(2)}, None, TypeError, "expected Tensors, 'a' is ndarray"),
    ({"a": None}, None, TypeError, "expected Tensors, 'a' is NoneType"),
    ({"__metadata__": tensor(1.0)}, None, ValueError, "'__metadata__' is the format's name for the metadata: "),
    ({"\ud800": tensor(1.0)}, None, ValueError, "expected names and metadata of Unicode characters, got "),
    ({}, {"a": "\udfff"}, ValueError, "expected names and metadata of Unicode characters, got "),
    ({}, "abc", TypeError, "expected metadata as a mapping, got str"),
    ({}, 3, TypeError, "expected metadata as a mapping, got int"),
    ({}, {1: "a"}, TypeError, r"expected strings as names in metadata, got 1 \(int\)"),
    ({}, {"a": "x" * 10**8}, ValueError, r"names and metadata take 100,000,0\d\d bytes, more than 100,000,000"),
])  # fmt: skip
def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path, state_dict, metadata, error, message):
    with pytest.raises(error, match=f"^save: {message}"):
        tinycnn.save(state_dict, tmp_path / "a.safetensors", metadata)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [lambda path: tinycnn.save({}, path), tinycnn.load], ids=["save", "load"])
@pytest.mark.parametrize("path", [None, 1, b"a", ["a"]])
def test_a_path_is_one(call, path):
    with pytest.raises(TypeError, match="^(save|load): expected f as a str or os.PathLike, got "):
        call(path)
    with pytest.raises(ValueError, match="^(save|load): expected f without a null character, got "):
        call("a\0b")


@pytest.mark.parametrize("length", [0x80, 0x4B50, 0x7B, 0x28, 0x2080])
def test_a_length_that_looks_like_another_format(tmp_path, length):
    """The first bytes of the header's length may be those of a zip file, of a pickle or of JSON."""
    text = json.dumps({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode().ljust(length)
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + b"\5")
    assert tinycnn.load(tmp_path / "a")["w"].tolist() == [5]


def test_any_names_and_metadata(tmp_path):
    names = ["", "a.b", "ä\n\"\\", "😀", "\0"]
    path = tmp_path / "a.safetensors"
    tinycnn.save({name: tensor(float(i)) for i, name in enumerate(names)}, path, dict.fromkeys(names, "ü\0"))
    assert {name: x.item() for name, x in tinycnn.load(path).items()} == {n: i for i, n in enumerate(names)}
    with safe_open(path, "numpy") as file:
        assert file.metadata() == dict.fromkeys(names, "ü\0")


def test_every_dtype_and_both_orders_of_bytes(tmp_path):
    saved, rng = {}, np.random.default_rng(0)
    for name in safetensors_file._NAMES:
        if name == "bfloat16":  # ml_dtypes has it in one order only
            continue
        for order in "<>":
            array = rng.integers(0, 2 if name == "bool" else 100, (2, 3)).astype(np.dtype(name).newbyteorder(order))
            saved[f"{name}{order}"] = wrap(array)
    tinycnn.save(saved, tmp_path / "a.safetensors")
    loaded = tinycnn.load(tmp_path / "a.safetensors")
    for key, x in loaded.items():
        assert x.dtype == np.dtype(key[:-1])
        np.testing.assert_array_equal(x.numpy(), saved[key].numpy())


def test_the_file_is_that_of_the_formats_own_library(tmp_path):
    from safetensors.numpy import save

    arrays = {key: np.ascontiguousarray(x.numpy()).reshape(x.shape) for key, x in state().items()}
    tinycnn.save(state(), tmp_path / "a.safetensors", {"epoch": "3"})
    ours, theirs = (tmp_path / "a.safetensors").read_bytes(), save(arrays, {"epoch": "3"})
    starts = [8 + int.from_bytes(data[:8], "little") for data in (ours, theirs)]
    header, other = (json.loads(data[8:start]) for data, start in zip((ours, theirs), starts))
    assert len(ours) == len(theirs)
    assert header.keys() == other.keys()
    assert all(header[key] == other[key] or header[key]["data_offsets"] != other[key]["data_offsets"] for key in other)
    assert starts[0] % 8 == 0
    for key, array in arrays.items():
        assert header[key]["data_offsets"][0] % array.itemsize == 0  # aligned


@pytest.mark.parametrize("length", range(8))
def test_arrays_begin_at_a_multiple_of_eight_bytes(tmp_path, length):
    tinycnn.save(state(), tmp_path / "a.safetensors", {"a": "x" * length})
    assert int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little") % 8 == 0
    assert_equal(tinycnn.load(tmp_path / "a.safetensors"), state())


def test_saving_takes_little_memory(tmp_path):
    """Arrays that lie as the format wants them are written from where they are."""
    weights = {"w": tinycnn.zeros(1_000_000)}
    tinycnn.save({}, tmp_path / "a.safetensors")
    tracemalloc.start()
    try:
        tinycnn.save(weights, tmp_path / "a.safetensors")
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match=r"save: cannot write .*missing.*: No such file or directory"):
        tinycnn.save(state(), tmp_path / "missing" / "a.safetensors")


def test_permissions_are_the_usual_ones(tmp_path):
    old = os.umask(0o027)
    try:
        tinycnn.save(state(), tmp_path / "a.safetensors")
        assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027  # and the mask is as it was
    finally:
        os.umask(old)


def test_readers_never_see_half_a_file(tmp_path):
    path = tmp_path / "a.safetensors"
    states = [{"x": tensor(np.full(200_000, float(i)))} for i in range(2)]
    tinycnn.save(states[0], path)
    done = threading.Event()

    def write():
        for i in range(20):
            tinycnn.save(states[i % 2], path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        x = tinycnn.load(path)["x"].numpy()
        assert (x == x[0]).all()
    writer.join()


# --- reading ----------------------------------------------------------------------------------------------


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: no file .*nothing"):
        tinycnn.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="load: no file"):
        tinycnn.load(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
@pytest.mark.timeout(10)
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, kind in ((tmp_path / "fifo", "FIFO"), (os.devnull, "device"), (tmp_path, "folder")):
        with pytest.raises(FileNotFoundError, match=rf"^load: no file {path}: it is a {kind}$"):
            tinycnn.load(path)


@pytest.mark.parametrize("device", ["tpu", 3.5, ["cpu"]])
def test_a_device_that_there_is_not(tmp_path, device):
    tinycnn.save(state(), tmp_path / "a.safetensors")
    with pytest.raises((ValueError, TypeError), match="^device: expected "):
        tinycnn.load(tmp_path / "a.safetensors", device)


def file_of(path, data=b"", **header):
    """A file with this header, whatever it says."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize("dtype, shape, size, message", [
    ("C64", [1], 8, "'w' is 'C64', expected one of BOOL, "),
    ("F8_E4M3", [2], 2, "'w' is 'F8_E4M3', expected one of BOOL, "),
    ("F4", [2], 1, "'w' is 'F4', expected one of BOOL, "),
    ("F32", [2**62, 4], 8, "does not fill its place"),
    ("F32", [2**63, 0], 0, "'w' has the shape "),
    ("F32", [0, 2**62], 0, "array is too big"),
    ("F32", [-1], 4, r"'w' has the shape \[-1\]"),
    ("F32", [1] * 70, 4, "maximum supported dimension"),
    ("F32", [10**9], 4, "does not fill its place"),
    ("F32", [1.0], 4, r"'w' has the shape \[1.0\]"),
    (4, [1], 4, "'w' is 4, expected one of"),
])  # fmt: skip
def test_headers_that_announce_what_cannot_be(tmp_path, dtype, shape, size, message):
    path = file_of(tmp_path / "a", bytes(size), w={"dtype": dtype, "shape": shape, "data_offsets": [0, size]})
    with pytest.raises(ValueError, match=rf"^load: {path} is not a readable safetensors file: .*{message}") as raised:
        tinycnn.load(path)
    assert "\n" not in str(raised.value)


def test_booleans_of_any_byte_are_true_or_false(tmp_path):
    path = file_of(tmp_path / "a.safetensors", b"\0\1\2\xff", w={"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]})
    (loaded,) = tinycnn.load(path).values()
    assert loaded.dtype == bool
    assert loaded.numpy().view(np.uint8).tolist() == [0, 1, 1, 1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file, and its content."""
    path = tmp_path_factory.mktemp("damaged") / "file.safetensors"
    tinycnn.save(state(), path, {"epoch": "3"})
    return path, path.read_bytes()


@given(data=st.data())
def test_any_damage_is_an_error_of_one_line_or_another_state(whole, data):
    path, content = whole[0], bytearray(whole[1])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        outcome = tinycnn.load(path)
    except ValueError as error:
        outcome = str(error)
    if isinstance(outcome, str):
        message = rf"load: {re.escape(str(path))} is not a readable (safetensors|torch|index) file: [^\n]+\Z"
        assert re.match(message, outcome)
    else:
        assert all(isinstance(x, Tensor) for x in outcome.values())


LITTLE_MEMORY = """
import resource, sys, tinycnn, tinycnn.interop.safetensors_file
if sys.argv[2] == "save":
    weights = {"w": tinycnn.zeros(25_000_000), "t": tinycnn.zeros(5000, 5000).T}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 5 * 10**7, used + 5 * 10**7))
try:
    tinycnn.save(weights, sys.argv[1]) if sys.argv[2] == "save" else tinycnn.load(sys.argv[1])
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
@pytest.mark.parametrize("what, message", [
    ("load", r"^load: not enough memory for the 100,000,\d{3} bytes of .*large.safetensors$"),
    ("save", r"^Unable to allocate 95.4 MiB for an array with shape \(5000, 5000\)"),
])  # fmt: skip
def test_without_memory_the_size_is_named(tmp_path, what, message):
    if what == "load":
        large = {"dtype": "F32", "shape": [25_000_000], "data_offsets": [0, 100_000_000]}
        with file_of(tmp_path / "large.safetensors", w=large).open("ab") as file:  # with a hole: it takes no space
            file.truncate(file.tell() + 100_000_000)
    command = [sys.executable, "-c", LITTLE_MEMORY, tmp_path / "large.safetensors", what]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(message, done.stdout)


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1],
    lambda data: data[: len(data) // 2],
    lambda data: data[:5],
    lambda data: b"",
    lambda data: b"\xff" * 8 + data[8:],
    lambda data: data.replace(b"F32", b"F99"),
    lambda data: data.replace(b'"shape":[3,4]', b'"shape":[3,5]'),
    lambda data: data + b"more",
    lambda data: b"PK\x03\x04" + data,
], ids=["cut", "half", "header cut", "empty", "length", "dtype", "shape", "too long", "another format"])  # fmt: skip
def test_damaged_files(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    tinycnn.save(state(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"load: .*a.safetensors is not a readable \w+ file: ") as raised:
        tinycnn.load(path)
    assert "\n" not in str(raised.value)


def test_bfloat16(tmp_path):
    """It is the upper half of float32."""
    pytest.importorskip("ml_dtypes")
    numbers = np.array([1.0, -2.5, np.inf, 2.0**-133, 3.3895314e38], np.float32)
    data = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
    file_of(tmp_path / "a", data, w={"dtype": "BF16", "shape": [5, 1], "data_offsets": [0, 10]})
    loaded = tinycnn.load(tmp_path / "a")["w"]
    assert loaded.dtype == tinycnn.bfloat16
    np.testing.assert_array_equal(loaded.float().numpy()[:, 0], numbers)
    tinycnn.save({"w": loaded}, tmp_path / "b.safetensors")
    assert (tmp_path / "b.safetensors").read_bytes()[-10:] == data


@pytest.mark.parametrize("text, message", [
    (b"{]", "its header is no JSON"),
    (b"[" * 100_000, "its header is no JSON"),
    (b"\xff", "its header is no JSON"),
    (b"[]", "its header is no JSON object"),
    (b'{"a": 1}', "does not give dtype, shape and data_offsets of 'a'"),
    (b'{"__metadata__": 1}', "its metadata are none"),
    (b'{"a": 1, "a": 1}', "stands there twice"),
    (b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}', "does not fill its place"),
    (b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 2]}}', "has the shape"),
    (b'{"a": {"dtype": ["U8"], "shape": [1], "data_offsets": [0, 1]}}', "expected one of"),
])  # fmt: skip
def test_headers_that_are_none(tmp_path, text, message):
    path = tmp_path / "a"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0\0")
    with pytest.raises(ValueError, match=rf"^load: {path} is not a readable safetensors file: .*{message}"):
        tinycnn.load(path)


# --- several files ------------------------------------------------------------------------------------------


def index_of(path, **weight_map):
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}, indent=2))
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_state_in_several_files(tmp_path, suffix):
    whole = state()
    names = [f"model-{i}-of-2.{suffix}" for i in (1, 2)]
    for name, keys in zip(names, (list(whole)[::2], list(whole)[1::2])):
        tinycnn.save({key: whole[key] for key in keys}, tmp_path / name)
    files = {key: names[i % 2] for i, key in enumerate(whole)}
    index = index_of(tmp_path / f"model.{suffix}.index.json", **files)
    for mmap in (False, True):
        assert_equal(tinycnn.load(index, mmap=mmap), whole)


def test_shards_that_are_not_there_or_elsewhere(tmp_path):
    tinycnn.save({"a": tinycnn.ones(2)}, tmp_path / "one.safetensors")
    index = tmp_path / "index.json"
    with pytest.raises(FileNotFoundError, match=r"^load: no file .*two.safetensors$"):
        tinycnn.load(index_of(index, a="two.safetensors"))
    with pytest.raises(ValueError, match=r"^load: .*one.safetensors lacks 'b', which .*index.json announces$"):
        tinycnn.load(index_of(index, a="one.safetensors", b="one.safetensors"))
    for outside in ("../one.safetensors", "/etc/passwd", "..", "", "c:one", "a\\b", "a\0b"):
        with pytest.raises(ValueError, match=r"^load: .*index.json is not a readable index file: expected the files "):
            tinycnn.load(index_of(index, a=outside))
    with pytest.raises(ValueError, match=r"^load: .*index.json is not a readable "):
        tinycnn.load(index_of(index, a="index.json"))  # no file leads to itself


@pytest.mark.parametrize("text", ['{"a": 1}', '{"weight_map": {"a": 1}}', "{]", '{"a":' * 100_000])
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(ValueError, match=r"^load: .*a is not a readable index file: [^\n]+$"):
        tinycnn.load(tmp_path / "a")
