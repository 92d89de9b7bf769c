"""Saving and loading: round trips, files that are complete or untouched, and files that are not what they should be."""

import os
import stat
import threading

import numpy as np
import pytest

import tinycnn
from tinycnn import Tensor, nn
from tinycnn.models import LeNet5


def state():
    rng = np.random.default_rng(0)
    return {
        "weight": Tensor(rng.standard_normal((3, 4)), dtype="float32"),
        "double": Tensor(rng.standard_normal(5)),
        "count": Tensor(3),
        "mask": Tensor(np.array([True, False])),
        "bytes": Tensor(np.arange(4, dtype=np.uint8)),
        "half": Tensor(np.arange(4, dtype=np.float16)),
        "empty": Tensor(np.zeros((0, 2))),
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


def test_round_trip_of_a_net(tmp_path):
    net, other = LeNet5(), LeNet5()
    tinycnn.save(net.state_dict(), tmp_path / "net.safetensors")
    other.load_state_dict(tinycnn.load(tmp_path / "net.safetensors"))
    x = Tensor(np.random.default_rng(1).standard_normal((2, 1, 28, 28)), dtype="float32")
    np.testing.assert_array_equal(net(x).detach().numpy(), other(x).detach().numpy())


def test_loaded_tensors_can_be_changed_and_trained(tmp_path):
    tinycnn.save(state(), tmp_path / "a")
    loaded = tinycnn.load(tmp_path / "a")
    loaded["weight"].zero_()
    loaded["double"].requires_grad_()
    loaded["double"].sum().backward()
    assert_equal(tinycnn.load(tmp_path / "a"), state())  # the file is not mapped into memory


def test_memory_orders_and_shared_tensors(tmp_path):
    """The format is row-major and knows no sharing: what lies otherwise is copied."""
    array = np.arange(24.0).reshape(2, 3, 4)
    tied = Tensor(array)
    saved = {
        "transposed": tinycnn.from_numpy(array.transpose(2, 0, 1)),
        "reversed": tinycnn.from_numpy(array[::-1, :, ::2]),
        "broadcast": tinycnn.from_numpy(np.broadcast_to(array[0, 0], (3, 4))),
        "one": tied,
        "the same": tied,
    }
    tinycnn.save(saved, tmp_path / "a")
    assert_equal(tinycnn.load(tmp_path / "a"), saved)


def test_equal_states_give_equal_files(tmp_path):
    for name in ("a", "b"):
        tinycnn.save(state(), tmp_path / name, {"epoch": "3", "accuracy": "0.99"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_libraries_read_it(tmp_path):
    from safetensors import safe_open

    tinycnn.save(state(), tmp_path / "a", {"epoch": "3", "accuracy": "0.99"})
    with safe_open(tmp_path / "a", "numpy") as file:
        assert file.metadata() == {"epoch": "3", "accuracy": "0.99"}
        assert set(file.keys()) == state().keys()
        np.testing.assert_array_equal(file.get_tensor("weight"), state()["weight"].numpy())


@pytest.mark.torch
def test_torch_reads_and_writes_it(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    tinycnn.save(state(), tmp_path / "a")
    theirs = load_file(tmp_path / "a")
    np.testing.assert_array_equal(theirs["weight"].numpy(), state()["weight"].numpy())
    layer = torch.nn.Conv2d(1, 2, 3)
    save_file(layer.state_dict(), tmp_path / "b")
    ours = nn.Conv2d(1, 2, 3)
    ours.load_state_dict(tinycnn.load(tmp_path / "b"))
    np.testing.assert_array_equal(ours.weight.detach().numpy(), layer.weight.detach().numpy())


# --- writing ----------------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    """Of every system call: tests/test_files.py."""
    path = tmp_path / "a"
    tinycnn.save(state(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"save: cannot write .*a: No space left on device"):
        tinycnn.save({"other": Tensor(1.0)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_is_no_tensor_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="save: expected Tensors, 'epoch' is int"):
        tinycnn.save({"weight": Tensor(1.0), "epoch": 3}, tmp_path / "a")
    with pytest.raises(TypeError, match="save: expected strings as metadata, 'epoch' is int"):
        tinycnn.save({"weight": Tensor(1.0)}, tmp_path / "a", {"epoch": 3})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match=r"save: cannot write .*missing.*: No such file or directory"):
        tinycnn.save(state(), tmp_path / "missing" / "a")


def test_permissions_are_the_usual_ones(tmp_path):
    old = os.umask(0o027)
    try:
        tinycnn.save(state(), tmp_path / "a")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027  # and the mask is as it was
    finally:
        os.umask(old)


def test_readers_never_see_half_a_file(tmp_path):
    path = tmp_path / "a"
    states = [{"x": Tensor(np.full(200_000, float(i)))} for i in range(2)]
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
    path = tmp_path / "a"
    tinycnn.save(state(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"load: .*a is not a readable safetensors file: ") as raised:
        tinycnn.load(path)
    assert "\n" not in str(raised.value)


def test_dtypes_we_do_not_have(tmp_path):
    """bfloat16 is torch's; NumPy has none."""
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    header += b" " * (-len(header) % 8)
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")
    with pytest.raises(ValueError, match="load: .*bfloat16"):
        tinycnn.load(tmp_path / "a")
