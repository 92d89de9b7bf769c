"""Files of torch: read as torch reads them, written so that torch reads them, and what else is refused by name."""

import argparse
import io
import pickle
import sys
import tracemalloc
import warnings
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests import torch_files
from tests.torch_files import DTYPES, FOLDER, LATER, image, resnet18, torch_resnet18
from tinycnn import nn, optim

EXPECTED = dict(np.load(FOLDER / "expected.npz"))


def assert_same(found, expected, path="object"):
    """The same types and values, and of tensors shape, dtype, values and whether they require a gradient."""
    assert type(found) is type(expected), path
    if isinstance(found, tinycnn.Tensor):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), path
        assert found.requires_grad == expected.requires_grad, path
        np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy(), err_msg=path)
    elif isinstance(found, dict):
        assert list(found) == list(expected), path
        for key in expected:
            assert_same(found[key], expected[key], f"{path}[{key!r}]")
    elif isinstance(found, (list, tuple)):
        assert len(found) == len(expected), path
        for i, each in enumerate(expected):
            assert_same(found[i], each, f"{path}[{i}]")
    else:
        assert found == expected, path


def round_trip(obj, **options):
    file = io.BytesIO()
    tinycnn.save(obj, file)
    file.seek(0)
    return tinycnn.load(file, **options)


# --- what torch wrote -------------------------------------------------------------------------------------


def check_checkpoint(read, dtypes):
    """The values of `torch_files.checkpoint`."""
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (read["epoch"], read["best"], read["size"]) == (3, 0.5, (3, 4))
    assert (read["set"], read["bytes"]) == ({1, 2}, b"\0\xff")
    assert read["names"] == ["a", "ü", None, (1, 2.5, True), 2**70]
    assert read["dtype"] is tinycnn.float64
    assert read["device"] == "cpu"
    assert type(read["model"]) is OrderedDict
    assert type(read["size"]) is tinycnn.Size
    assert read["scheduler"]["milestones"] == Counter([1, 2, 2])
    assert read["optimizer"]["param_groups"][0]["params"] == [0, 1, 2, 3]
    assert set(read["optimizer"]["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert isinstance(read["parameter"], nn.Parameter)
    assert read["parameter"].requires_grad
    expected = {
        "parameter": grid[:2], "grid": grid, "column": grid[:, 1], "transposed": grid.T, "empty": grid[:0],
        "repeated": np.full((2, 3), 7, np.float32), "number": np.int64(3),
        "bfloat16": np.array([1, -2.5, 2.0**127], tinycnn.bfloat16),
    }  # fmt: skip
    for key, value in expected.items():
        found = read[key].detach().numpy()
        assert (found.shape, found.dtype) == (value.shape, value.dtype), key
        np.testing.assert_array_equal(found, value, err_msg=key)
    for name in dtypes:
        found = (read["later"] if name in LATER else read["dtypes"])[name]
        assert found.dtype == name
        np.testing.assert_array_equal(found.numpy(), np.arange(3).astype(name))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name, dtypes", [("checkpoint.pt", DTYPES + LATER), ("former.pt", DTYPES)])
def test_a_recorded_file(name, dtypes, mmap):
    read = tinycnn.load(FOLDER / name, mmap=mmap)
    check_checkpoint(read, dtypes)
    for key, value in EXPECTED.items():
        if key.startswith("model."):
            np.testing.assert_array_equal(read["model"][key.removeprefix("model.")].numpy(), value)


@pytest.mark.parametrize("name", ["checkpoint.pt", "former.pt"])
def test_tensors_share_the_memory_that_they_shared(name):
    read = tinycnn.load(FOLDER / name)
    read["grid"].fill_(5)
    assert read["transposed"].numpy().min() == 5
    assert read["column"].tolist() == [5, 5, 5]
    with pytest.raises(RuntimeError, match="clone"):
        read["repeated"].zero_()


def test_a_graph_notices_a_change_through_another_view_of_the_file():
    read = tinycnn.load(FOLDER / "checkpoint.pt")
    x = read["column"].requires_grad_()
    y = (x * x).sum()
    read["grid"].zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_mapped_pages_are_never_written_back(tmp_path):
    (tmp_path / "a.pt").write_bytes((FOLDER / "checkpoint.pt").read_bytes())
    tinycnn.load(tmp_path / "a.pt", mmap=True)["grid"].zero_()
    check_checkpoint(tinycnn.load(tmp_path / "a.pt"), DTYPES + LATER)


def test_resnet18_of_a_recorded_file_gives_the_outputs_of_torch():
    net = resnet18(tinycnn, width=2, classes=10).eval()
    net.load_state_dict(tinycnn.load(FOLDER / "resnet18.pth"))
    with tinycnn.no_grad():
        found = net(tinycnn.tensor(image())).numpy()
    np.testing.assert_allclose(found, EXPECTED["resnet18"], rtol=1e-5, atol=1e-5)


@pytest.mark.torch
def test_resnet18_gives_the_outputs_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    theirs, ours = torch_resnet18(torch), resnet18(tinycnn).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    ours.load_state_dict(tinycnn.load(tmp_path / "resnet18.pth", map_location="cpu", weights_only=True))
    with torch.no_grad(), tinycnn.no_grad():
        expected = theirs(torch.from_numpy(image(96))).numpy()
        np.testing.assert_allclose(ours(tinycnn.tensor(image(96))).numpy(), expected, rtol=1e-5, atol=1e-5)
    tinycnn.save(ours.state_dict(), tmp_path / "back.pth")
    theirs.load_state_dict(torch.load(tmp_path / "back.pth"))  # all keys match
    with torch.no_grad():
        np.testing.assert_array_equal(theirs(torch.from_numpy(image(96))).numpy(), expected)


@pytest.mark.torch
@pytest.mark.parametrize("former", [False, True])
def test_a_file_of_torch(tmp_path, former):
    torch = pytest.importorskip("torch")
    torch.save(
        torch_files.checkpoint(torch), tmp_path / "a.pt", _use_new_zipfile_serialization=not former, pickle_protocol=2
    )
    check_checkpoint(tinycnn.load(tmp_path / "a.pt"), DTYPES)


@pytest.mark.torch
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_later_protocols(tmp_path, protocol):
    torch = pytest.importorskip("torch")
    torch.save(torch_files.checkpoint(torch), tmp_path / "a.pt", pickle_protocol=protocol)
    check_checkpoint(tinycnn.load(tmp_path / "a.pt"), DTYPES)


@pytest.mark.torch
def test_without_checksums(tmp_path):
    torch = pytest.importorskip("torch")
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(torch_files.checkpoint(torch), tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    check_checkpoint(tinycnn.load(tmp_path / "a.pt"), DTYPES)


@pytest.mark.torch
def test_tensors_with_attributes_and_numbers_of_numpy(tmp_path):
    torch = pytest.importorskip("torch")
    x, p = torch.ones(2), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    x.note, p.note = "kept by torch", 1
    args = argparse.Namespace(lr=0.1, nested=[1])
    torch.save({"x": x, "p": p, "best": np.float64(0.5), "n": np.int64(3), "args": args}, tmp_path / "a.pt")
    read = tinycnn.load(tmp_path / "a.pt", weights_only=False)
    assert (read["x"].tolist(), read["best"], read["n"], read["args"]) == ([1, 1], 0.5, 3, args)
    assert type(read["best"]) is np.float64
    assert isinstance(read["p"], nn.Parameter)
    assert not read["p"].requires_grad


@pytest.mark.torch
@pytest.mark.parametrize("make, message", [
    (lambda torch: torch.nn.Linear(1, 1), r"it holds 'torch.nn.modules.linear.Linear', .* the state_dict\(\)"),
    (lambda torch: torch.ones(1, dtype=torch.complex64), "it holds a tensor of complex numbers"),
    (lambda torch: torch.eye(2).to_sparse(), "it holds a sparse tensor"),
    (lambda torch: torch.eye(2).to_sparse_csr(), "it holds a sparse tensor"),
    (lambda torch: torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8), "it holds a quantised tensor"),
    (lambda torch: torch.ones(2).to(torch.float8_e4m3fn), "it holds a tensor of float8"),
    (lambda torch: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "it holds a nested tensor"),
    (lambda torch: {"f": print}, "it holds '__builtin__.print'"),
    (lambda torch: np.ones(2), "it holds 'numpy._core.multiarray._reconstruct'"),
    (lambda torch: Path("a"), r"it holds 'pathlib\.\w+'"),
])  # fmt: skip
def test_what_torch_writes_and_is_not_read(tmp_path, make, message):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"deep": [make(torch)]}, tmp_path / "a.pt")
    for weights_only in (None, True, False):
        with pytest.raises(ValueError, match=rf"^load: .*a.pt is not a readable torch file: {message}") as raised:
            tinycnn.load(tmp_path / "a.pt", weights_only=weights_only)
        assert "\n" not in str(raised.value)


@pytest.mark.torch
def test_a_program_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "a.pt")
    with pytest.raises(ValueError, match="it holds a TorchScript program"):
        tinycnn.load(tmp_path / "a.pt")


def test_what_only_looks_like_a_file_of_torch(tmp_path):
    path = tmp_path / "a.pt"
    messages = {
        "it is a zip file of something else": lambda: np.savez(path.open("wb"), a=1),
        "it is a plain pickle, and": lambda: path.write_bytes(pickle.dumps({1: 2})),
        "it is a tar archive": lambda: path.write_bytes(b"a".ljust(257, b"\0") + b"ustar" + bytes(300)),
        "its directory is damaged": lambda: path.write_bytes(b"PK\x03\x04"),
    }
    for message, write in messages.items():
        write()
        with pytest.raises(ValueError, match=rf"^load: .*a.pt is not a readable torch file: {message}"):
            tinycnn.load(path)


# --- what is written here ---------------------------------------------------------------------------------


def trained():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    net(tinycnn.ones(2, 1, 5, 5)).sum().backward()
    optimizer.step()
    return net, optimizer


def test_a_checkpoint(tmp_path):
    net, optimizer = trained()
    schedule = optim.lr_scheduler.MultiStepLR(optimizer, [1, 3])
    saved = {
        "epoch": 3, "best": np.float64(0.5), "args": argparse.Namespace(lr=0.1), "history": [(1, 2.5), None, "ü", True],
        "model": net.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": schedule.state_dict(),
        "ordered": OrderedDict(b=1, a=2), "counter": Counter("aab"), "set": {1, "a"}, "bytes": b"\0\xff",
        "big": -(2**70), 1: {2: {}}, "dtype": tinycnn.float32, "device": tinycnn.device("cpu"), (1, "a"): [],
        "size": tinycnn.ones(2, 3).shape,
    }  # fmt: skip
    tinycnn.save(saved, tmp_path / "checkpoint.pth.tar")
    loaded = tinycnn.load(tmp_path / "checkpoint.pth.tar")
    assert_same(loaded, {**saved, "best": 0.5})
    other, its_optimizer = trained()
    other.load_state_dict(loaded["model"])
    its_optimizer.load_state_dict(loaded["optimizer"])
    assert_same(its_optimizer.state_dict(), optimizer.state_dict())


@pytest.mark.parametrize("dtype", DTYPES + LATER)
@pytest.mark.parametrize("layout", [
    lambda x: x, lambda x: x.T, lambda x: x[1:, ::2], lambda x: x[::-1, ::-1], lambda x: x[:, :0], lambda x: x[1, 1],
    lambda x: np.broadcast_to(x[0], (3, 4)), lambda x: x.astype(x.dtype.newbyteorder()), np.asfortranarray,
], ids=["rows", "columns", "steps", "negative", "empty", "number", "repeated", "byte order", "fortran"])  # fmt: skip
def test_every_dtype_in_every_layout(dtype, layout):
    array = layout(np.arange(12).reshape(3, 4).astype(dtype))
    loaded = round_trip(tinycnn.autograd.wrap(array))
    assert (loaded.shape, loaded.dtype) == (array.shape, np.dtype(dtype))
    np.testing.assert_array_equal(loaded.numpy(), array)


def test_shared_memory_is_written_once_and_shared_again():
    x = tinycnn.rand(100, 100)
    tied = nn.Parameter(x)
    saved = {"x": x, "T": x.T, "row": x[3], "detached": x.detach(), "tied": tied, "same": tied, "other": x.clone()}
    file = io.BytesIO()
    tinycnn.save(saved, file)
    assert 80_000 < file.tell() < 84_000
    loaded = round_trip(saved)
    assert loaded["tied"] is loaded["same"]
    loaded["T"].zero_()
    assert [key for key, value in loaded.items() if value.sum().item() == 0] == list(saved)[:-1]


def test_of_a_view_no_more_is_written_than_it_spans():
    file = io.BytesIO()
    tinycnn.save(tinycnn.rand(1000, 1000)[5], file)
    assert file.tell() < 6000


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_memory_is_what_the_tensors_need(tmp_path, suffix):
    """Nothing is copied to be written, and what is read is read once, or when it is used."""
    path, saved = tmp_path / f"a.{suffix}", {"w": tinycnn.zeros(1_000_000), "v": tinycnn.zeros(500_000)}
    tinycnn.save(saved, path)
    for call, most in (
        (lambda: tinycnn.save(saved, path), 300_000),
        (lambda: tinycnn.load(path), 6_300_000),
        (lambda: tinycnn.load(path, mmap=True), 300_000),
    ):
        tracemalloc.start()
        try:
            call()
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()


def test_objects_that_contain_themselves():
    saved = {"a": [1]}
    saved["self"] = saved["a"]
    loaded = round_trip(saved)
    assert loaded["self"] is loaded["a"]
    saved["a"].append(saved)
    loaded = round_trip(saved)
    assert loaded["a"][1] is loaded


def test_equal_objects_give_equal_files():
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        keep = tinycnn.ones(len(files[0].getvalue()) + 1)  # other addresses
        saved = {"b": tinycnn.arange(5), "a": tinycnn.zeros(3), "c": keep[:0]}
        tinycnn.save(saved, file)
    assert files[0].getvalue() == files[1].getvalue()


def test_storages_are_aligned(tmp_path):
    tinycnn.save({"a" * n: tinycnn.arange(n) for n in range(1, 9)}, tmp_path / "a.pt")
    content = (tmp_path / "a.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.pt") as file:
        assert file.testzip() is None
        for entry in file.infolist():
            lengths = content[entry.header_offset + 26 : entry.header_offset + 30]
            start = entry.header_offset + 30 + sum(np.frombuffer(lengths, "<u2").tolist())
            assert start % 64 == 0
            assert content[start : start + entry.file_size] == file.read(entry)


class OfTheProgram:
    pass


@pytest.mark.parametrize("value, named", [
    (nn.Linear(1, 1), r"got Linear; save its state_dict\(\)"),
    (optim.SGD([tinycnn.ones(1, requires_grad=True)], lr=1), r"got SGD; save its state_dict\(\)"),
    (OfTheProgram(), "got OfTheProgram"), (print, "got builtin_function_or_method"), (lambda: 1, "got function"),
    (OfTheProgram, "got type"), (np.ones(2), "got ndarray"), (1j, "got complex"), (Path("a"), r"got \w+Path"),
], ids=str)  # fmt: skip
def test_what_cannot_be_saved_is_named(tmp_path, value, named):
    with pytest.raises(TypeError, match=f"^save: expected tensors, numbers, strings and containers of them, {named}$"):
        tinycnn.save({"deep": [value]}, tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [{tinycnn.ones(1): 1}, {tinycnn.ones(1)}, {((1, 2), 3): 1}, {OfTheProgram: 1}])
def test_keys_are_numbers_and_strings(value):
    with pytest.raises(TypeError, match="^save: expected numbers and strings as keys, got "):
        tinycnn.save([value], io.BytesIO())


def test_what_is_nested_too_deeply_is_refused(tmp_path):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="^save: the object is nested too deeply$"):
        tinycnn.save(deep, tmp_path / "a.pt")


def test_metadata_are_of_safetensors(tmp_path):
    with pytest.raises(ValueError, match=r"^save: only a .safetensors file has metadata, got .*a.pt$"):
        tinycnn.save({}, tmp_path / "a.pt", {"epoch": "3"})


@pytest.mark.torch
def test_torch_reads_it(tmp_path):
    torch = pytest.importorskip("torch")
    net, optimizer = trained()
    x = tinycnn.arange(12.0).reshape(3, 4)
    dtypes = {name: tinycnn.tensor(np.arange(3).astype(name)) for name in DTYPES + LATER}
    saved = {
        "model": net.state_dict(), "optimizer": optimizer.state_dict(), "x": x, "T": x.T, "e": x[:, :0],
        "n": tinycnn.tensor(3), "p": nn.Parameter(x[0].clone()), "r": x[0].expand(2, 4), "best": np.float32(0.5),
        "counter": Counter("aab"), "ordered": OrderedDict(a=1), "set": {1}, "bytes": b"\xff", "dtype": tinycnn.int8,
        "device": tinycnn.device("cpu"), "dtypes": dtypes,
    }  # fmt: skip
    tinycnn.save(saved, tmp_path / "a.pt")
    for options in ({}, {"mmap": True}, {"weights_only": False}):
        read = torch.load(tmp_path / "a.pt", **options)
        assert read["T"].untyped_storage().data_ptr() == read["x"].untyped_storage().data_ptr()
        assert isinstance(read["p"], torch.nn.Parameter)
        assert (read["best"], read["set"], read["bytes"], read["dtype"]) == (0.5, {1}, b"\xff", torch.int8)
        assert read["device"] == torch.device("cpu")
        for key in ("x", "T", "e", "n", "p", "r"):
            np.testing.assert_array_equal(read[key].detach().numpy(), saved[key].detach().numpy())
        for name in DTYPES + LATER:
            assert read["dtypes"][name].dtype is getattr(torch, name)
            assert read["dtypes"][name].tolist() == list(map(bool, range(3)) if name == "bool" else range(3))
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    theirs.load_state_dict(read["model"])
    torch.optim.Adam(theirs.parameters()).load_state_dict(read["optimizer"])
    torch.save(read, tmp_path / "b.pt")
    again = tinycnn.load(tmp_path / "b.pt")
    assert_same(again["model"], OrderedDict(saved["model"]) if type(again["model"]) is OrderedDict else saved["model"])


# --- where it is put --------------------------------------------------------------------------------------


@pytest.mark.parametrize("map_location", [
    None, "cpu", tinycnn.device("cpu"), {"cuda:0": "cpu"}, {"cpu": "cpu"}, lambda storage, location: storage,
    lambda storage, location: None, lambda storage, location: storage.cpu(),
])  # fmt: skip
def test_map_location(map_location):
    assert round_trip({"x": tinycnn.arange(3)}, map_location=map_location)["x"].tolist() == [0, 1, 2]


def test_a_function_as_map_location_gets_each_storage_and_its_device():
    got = []

    def to(storage, location):
        got.append((storage.tolist(), location))
        return storage * 2

    x = tinycnn.arange(6)
    loaded = round_trip({"x": x.reshape(2, 3), "y": x[2:]}, map_location=to)
    assert got == [([0, 1, 2, 3, 4, 5], "cpu")]
    assert loaded["y"].tolist() == [4, 6, 8, 10]


@pytest.mark.parametrize("map_location", [lambda storage, location: "cpu", lambda storage, location: storage[1:]])
def test_what_a_function_as_map_location_must_give(map_location):
    with pytest.raises(TypeError, match="^load: expected map_location to give its first argument, moved, or None, got"):
        round_trip(tinycnn.arange(3), map_location=map_location)


def test_an_error_of_map_location_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        round_trip(tinycnn.arange(3), map_location=lambda storage, location: 1 / 0)


@pytest.mark.parametrize("location", ["cuda:7", "mps", "meta", "somewhere"])
def test_a_device_that_this_machine_lacks(tmp_path, location):
    content = io.BytesIO()
    tinycnn.save(tinycnn.arange(3), content)
    parts = {}
    with zipfile.ZipFile(content) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as file:
        for name, part in parts.items():
            old, new = (b"X%c\0\0\0%s" % (len(text), text) for text in (b"cpu", location.encode()))
            file.writestr(name, part.replace(old, new))
    with pytest.raises(RuntimeError, match=rf"^load: .*a.pt holds tensors of the device '{location}'; pass map"):
        tinycnn.load(tmp_path / "a.pt")
    for given in ("cpu", {location: "cpu"}, lambda storage, location: storage):
        assert tinycnn.load(tmp_path / "a.pt", map_location=given).tolist() == [0, 1, 2]


# --- files that are open ----------------------------------------------------------------------------------


def test_open_files(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        tinycnn.save({"x": tinycnn.arange(3)}, file)
    with (tmp_path / "a").open("rb") as file:
        assert tinycnn.load(file)["x"].tolist() == [0, 1, 2]
    file = io.BytesIO(b"more" + (tmp_path / "a").read_bytes())
    file.seek(4)
    assert tinycnn.load(file)["x"].tolist() == [0, 1, 2]


def test_files_that_cannot_be_read_so(tmp_path):
    with (tmp_path / "a").open("w") as file, pytest.raises(TypeError, match="^save: expected a file opened in bin"):
        tinycnn.save({}, file)
    with pytest.raises(TypeError, match="^load: expected a file opened in binary mode, <StringIO> gives text$"):
        tinycnn.load(io.StringIO("PK"))
    with pytest.raises(ValueError, match="^load: mmap=True needs the path of a file, got BytesIO$"):
        tinycnn.load(io.BytesIO(), mmap=True)
    with pytest.raises(ValueError, match="^load: <BytesIO> is not a readable safetensors file: "):
        tinycnn.load(io.BytesIO(b"abc"))
    for option in ("mmap", "weights_only"):
        with pytest.raises(TypeError, match=f"^load: expected {option} "):
            tinycnn.load(tmp_path, **{option: 1})


def test_big_endian_files(tmp_path):
    content = io.BytesIO()
    x = np.arange(3.0)
    tinycnn.save(tinycnn.tensor(x), content)
    with zipfile.ZipFile(content) as file, zipfile.ZipFile(tmp_path / "a.pt", "w") as other:
        for name in file.namelist():
            part = file.read(name)
            part = b"big" if name.endswith("byteorder") else part
            other.writestr(name, x.astype(">f8").tobytes() if "/data/" in name else part)
    assert sys.byteorder == "little"
    assert tinycnn.load(tmp_path / "a.pt").tolist() == [0, 1, 2]
