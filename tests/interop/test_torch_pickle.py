"""Hostile and damaged files of torch: one clear error, nothing executed, no time and no memory beyond the file's."""

import contextlib
import io
import os
import pickle
import re
import struct
import subprocess
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

import tinycnn
from tests.torch_files import FOLDER
from tinycnn import nn
from tinycnn.interop import torch_pickle

FORMER = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch before 1.6 begin
FILES = [FOLDER / "checkpoint.pt", FOLDER / "former.pt"]


def archive(path, data, **storages):
    """A file of torch with this pickle and these storages."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", data)
        for name, content in storages.items():
            file.writestr(f"a/data/{name.removeprefix('_')}", content)
    return path


def refused(path, message=None, **options):
    """The error of a file that cannot be read: one line that names it."""
    with pytest.raises(ValueError, match=message) as raised:
        tinycnn.load(path, **options)
    assert re.match(rf"load: {re.escape(str(path))} is not a readable torch file: [^\n]{{1,400}}\Z", str(raised.value))
    return str(raised.value)


# --- nothing is executed ----------------------------------------------------------------------------------


class Planted:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, subprocess.call, getattr, __import__, pickle.loads, print])
def test_a_planted_call_is_refused_by_name_and_does_not_run(tmp_path, function, protocol, monkeypatch):
    arguments = {
        os.system: ("touch ran",), eval: ("open('ran', 'w')",), exec: ("open('ran', 'w')",),
        subprocess.call: (["touch", "ran"],), getattr: (os, "system"), __import__: ("antigravity",),
        pickle.loads: (pickle.dumps(Planted(os.system, "touch ran")),), print: (1,),
    }[function] if function is not getattr else ("", "upper")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"weight": [Planted(function, *arguments)]}, protocol)
    message = refused(archive(tmp_path / "a.pt", data))
    assert protocol < 2 or function.__name__ in message
    (tmp_path / "former.pt").write_bytes(FORMER + data)
    refused(tmp_path / "former.pt")
    assert not (tmp_path / "ran").exists()


def test_the_planted_call_would_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Planted(os.system, "touch ran")))
    assert (tmp_path / "ran").exists()


def test_no_object_of_this_process_is_reached(tmp_path):
    """A state that is set on a function or a class would change it for the whole process."""
    before = torch_pickle._tensor.__defaults__, dict(vars(nn.Parameter)), dict(vars(torch_pickle.Global))
    names = [full.encode().rpartition(b".") for full in torch_pickle.GLOBALS]
    for module, _, name in names:
        found = b"c" + module + b"\n" + name + b"\n"
        state = b"}(X\x0c\x00\x00\x00__defaults__)X\x04\x00\x00\x00make)u"
        for instruction in (
            state + b"b", b"N" + state + b"\x86b", b"X\x01\x00\x00\x00aNs", b"Na", b")\x81" + state + b"b",
            b")R" + state + b"b", b"(NNu", b"(NNe", b"\x8f(N\x90",
        ):  # fmt: skip
            data = b"\x80\x02" + found + instruction + b"."
            try:
                tinycnn.load(archive(tmp_path / "a.pt", data))
            except ValueError:
                continue
    after = torch_pickle._tensor.__defaults__, dict(vars(nn.Parameter)), dict(vars(torch_pickle.Global))
    assert after == before


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "torch\nload", "tinycnn\nload", "torch._utils\n_r"])
def test_names_that_are_not_in_the_table(tmp_path, name):
    message = refused(archive(tmp_path / "a.pt", f"\x80\x02c{name}\n.".encode("latin1")))
    assert "files are read without executing code" in message
    assert name.replace("\n", ".") in message


# --- what a pickle may not do ------------------------------------------------------------------------------


def storage(name=b"FloatStorage", key=b"0", size=b"K\x04", location=b"cpu"):
    texts = [b"X" + struct.pack("<I", len(text)) + text for text in (b"storage", key, location)]
    return b"(" + texts[0] + b"ctorch\n" + name + b"\n" + texts[1] + texts[2] + size + b"tQ"


def tensor(size=b"K\x04\x85", stride=b"K\x01\x85", offset=b"K\x00", of=None):
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + (of or storage()) + offset + size + stride
        + b"\x89}tR."
    )  # fmt: skip


FLOATS = np.arange(4, dtype="<f4").tobytes()


def test_a_tensor_by_hand(tmp_path):
    assert tinycnn.load(archive(tmp_path / "a.pt", tensor(), _0=FLOATS)).tolist() == [0, 1, 2, 3]


HUGE = b"\x8a\x09" + (2**66).to_bytes(9, "little")
LARGE = b"\x8a\x08" + (2**62).to_bytes(8, "little")


@pytest.mark.parametrize("data, message", [
    (tensor(size=b"K\x05\x85"), "does not lie in its storage of 4 numbers"),
    (tensor(offset=b"K\x01"), "does not lie in its storage"),
    (tensor(offset=b"K\x05", size=b"K\x00\x85"), "does not lie in its storage"),
    (tensor(stride=b"K\x02\x85"), "does not lie in its storage"),
    (tensor(size=b"K\x02K\x02\x86", stride=b"K\x03K\x01\x86"), "does not lie in its storage"),
    (tensor(size=LARGE + b"\x85"), "does not lie in its storage"),
    (tensor(size=LARGE + b"\x85", stride=b"K\x00\x85"), "does not lie in its storage"),
    (tensor(size=LARGE + b"K\x00\x86", stride=b"K\x01K\x01\x86"), "does not lie in its storage"),
    (tensor(size=HUGE + b"\x85"), "a tensor has the size"),
    (tensor(offset=b"J\xff\xff\xff\xff"), "a tensor has the size"),
    (tensor(stride=b"J\xff\xff\xff\xff\x85"), "a tensor has the size"),
    (tensor(stride=b")"), "a tensor has the size"),
    (tensor(size=b"(" + b"K\x01" * 65 + b"t", stride=b"(" + b"K\x01" * 65 + b"t"), "a tensor has the size"),
    (tensor(size=b"G?\xf0\0\0\0\0\0\0\x85"), "a tensor has the size"),
    (tensor(size=b"\x88\x85"), "a tensor has the size"),
    (tensor(size=b"N"), "its pickle is damaged"),
    (tensor(of=b"N"), "expected a tensor of a storage, got None"),
    (tensor(of=storage(size=b"K\x05")), "the storage '0' of 5 float32 has 16 bytes"),
    (tensor(of=storage(size=b"K\x03"), size=b"K\x03\x85"), "the storage '0' of 3 float32 has 16 bytes"),
    (tensor(of=storage(size=HUGE)), "has 16 bytes"),
    (tensor(of=storage(size=b"J\xff\xff\xff\xff")), "expected key, location and size"),
    (tensor(of=storage(key=b"1")), "it has no entry 'data/1'"),
    (tensor(of=storage(key=b"../data.pkl")), r"it has no entry 'data/../data.pkl'"),
    (tensor(of=storage(name=b"float32")), "expected a type of storage"),
    (tensor(of=storage(name=b"DoubleStorage")), "the storage '0' of 4 float64 has 16 bytes"),
    (tensor(of=b"(X\x07\0\0\0storageNNNNtQ"), "expected a type of storage, got None"),
    (tensor(of=b"NQ"), "expected a description of a storage, got None"),
    (b"\x80\x02]" + storage() + storage(size=b"K\x05") + b"ee.", "is described in two ways|damaged"),
    (b"\x80\x02(" + storage() + storage(name=b"IntStorage") + b"t.", "is of float32 and of int32"),
    (b"\x80\x02}}K\x01s.", "expected numbers and strings as keys"),
    (b"\x80\x02K\x01K\x02s.", "its pickle is damaged|fills"),
    (b"\x80\x02K\x01(K\x02K\x03u.", "its pickle fills 1"),
    (b"\x80\x02}(K\x02u.", "its pickle fills"),
    (b"\x80\x02K\x01)R.", "its pickle calls 1"),
    (b"\x80\x02ctorch\nFloatStorage\n)R.", "its pickle calls"),
    (b"\x80\x02K\x01}b.", "its pickle sets the state of 1"),
    (b"\x80\x02ctorch._utils\n_rebuild_parameter\n(K\x01\x88}tR.", "expected a parameter of a tensor, got 1"),
    (b"\x80\x02h\x05.", "its pickle is damaged"),
    (b"\x80\x02.", "its pickle is damaged"),
    (b"\x80\x02", "its pickle is damaged"),
    (b"", "its pickle is damaged"),
    (b"\x80\x09N.", "its pickle is damaged"),
    (b"\x80\x02cnumpy\ndtype\n(X\x01\0\0\0O\x89\x88tR.", "a number of NumPy of dtype 'O'"),
    (b"\x80\x02cnumpy\ndtype\n(X\x02\0\0\0f8\x89\x88tR(K\x03X\x01\0\0\0>tb.", "in the byte order '>'"),
    (b"\x80\x02i", "its pickle is damaged"),
    (b"\x80\x02P0\n.", "its pickle is damaged"),
    (b"\x80\x02\x82\x01.", "its pickle is damaged"),
])  # fmt: skip
def test_pickles_that_torch_does_not_write(tmp_path, data, message):
    refused(archive(tmp_path / "a.pt", data, _0=FLOATS), message)
    refused(archive(tmp_path / "a.pt", data, _0=FLOATS), message, mmap=True)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("data", [
    b"\x80\x02Nr\xff\xff\xff\x7f.", b"\x80\x02Nr\xff\xff\xff\x7f0.",  # a memo of two thousand million entries
    b"\x80\x02X\xff\xff\xff\x7fabc.", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc.",  # long strings
    b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc.", b"\x80\x02B\xff\xff\xff\x7fabc.",
    b"\x80\x05\x96" + b"\xff" * 5 + b"\0\0\0.",
    b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN.",  # a frame
    b"\x80\x02\x8b\xff\xff\xff\x7f1.", b"\x80\x02I" + b"9" * 100_000 + b"\n.",  # long numbers
    b"\x80\x02}" + b"NN" + b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(1, 100)) + b"Ns.",
    b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(1, 100)) + b"Ns.",  # a hash that takes for ever
    b"\x80\x02c__builtin__\nset\n]K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(1, 100)) + b"a\x85R.",
], ids=range(13))  # fmt: skip
def test_neither_time_nor_memory_beyond_that_of_the_file(tmp_path, data):
    path = archive(tmp_path / "a.pt", data)
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            tinycnn.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000 + 10 * len(data)
    finally:
        tracemalloc.stop()


FOR_EVER = b"K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(1, 100))  # to hash, to compare or to print


@pytest.mark.timeout(20)
@pytest.mark.parametrize("before, after", [
    (b"}", b"Ns."), (b"}(", b"Nu."), (b"c__builtin__\nset\n]", b"a\x85R."),
    (b"ccollections\nCounter\n}", b"Ns\x85R."),
    (b"ccollections\nCounter\n](", b"N\x86e\x85R."), (b"ccollections\nOrderedDict\n](", b"N\x86e\x85R."),
    (b"cargparse\nNamespace\n)R}", b"Nsb."), (b"ctorch\ndevice\n", b"\x85R."),
    (b"ctorch\ndevice\nX\x03\0\0\0cpu", b"\x86R."),
    (b"cnumpy\ndtype\n", b"\x85R."), (b"ctorch._utils\n_rebuild_tensor_v2\n(", b"K\0))\x89}tR."), (b"N", b"R."),
    (b"", b")R."), (b"", b"Nb."), (b"", b"(Nu."), (b"", b"(NNe."), (b"", b"Q."),
    (tensor()[2:-3].replace(b"K\0K\4\x85", b""), b"tR."),
    (b"(X\x07\0\0\0storage", b"NNNtQ."), (b"(X\x07\0\0\0storagectorch\nFloatStorage\n", b"X\3\0\0\0cpuK\x01tQ."),
    (b"c_codecs\nencode\n", b"X\1\0\0\0a\x86R."), (b"]](", b"ee."),
])  # fmt: skip
def test_tuples_in_tuples_take_no_time(tmp_path, before, after):
    with contextlib.suppress(ValueError):
        tinycnn.load(archive(tmp_path / "a.pt", b"\x80\x02" + before + FOR_EVER + after))
    pickles = b"\x80\x02M\xe9\x03." + b"\x80\x02}." * 2 + b"\x80\x02](" + FOR_EVER + b"e."
    (tmp_path / "former.pt").write_bytes(FORMER + pickles)
    refused(tmp_path / "former.pt", "it does not list its storages")


def test_tuples_in_tuples_are_no_keys(tmp_path):
    for before, after in ((b"}", b"Ns."), (b"c__builtin__\nset\n]", b"a\x85R.")):
        data = b"\x80\x02" + before + FOR_EVER + after
        refused(archive(tmp_path / "a.pt", data), "expected numbers and strings as keys")


# --- archives that lie ------------------------------------------------------------------------------------


def test_compressed_entries_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", b"\x80\x02N." + bytes(10**7))
    refused(tmp_path / "a.pt", "its entry 'data.pkl' is compressed or encrypted")


def directory_entry(content, name):
    """Where the directory of a zip file describes an entry."""
    return content.index(b"PK\x01\x02", content.index(name, content.index(b"PK\x01\x02")) - 50)


@pytest.mark.parametrize("offset, form, value, message", [
    (8, "<H", 1, "is compressed or encrypted"),
    (10, "<H", 8, "is compressed or encrypted"),
    (20, "<I", 17, "is compressed or encrypted"),
    (42, "<I", 1, "is not where the directory says"),
    (42, "<I", 10**6, "is not where the directory says|directory is damaged"),
    (16, "<I", 1, "the checksum differs"),
])  # fmt: skip
def test_a_directory_that_lies(tmp_path, offset, form, value, message):
    path = archive(tmp_path / "a.pt", tensor(), _0=FLOATS)
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, directory_entry(content, b"a/data/0") + offset, value)
    path.write_bytes(content)
    refused(path, message)


@pytest.mark.parametrize("mmap", [False, True])
def test_an_entry_longer_than_the_file(tmp_path, mmap):
    large = storage(size=b"J\x00\x00\x00\x10")
    path = archive(tmp_path / "a.pt", tensor(of=large), _0=FLOATS)
    content = bytearray(path.read_bytes())
    struct.pack_into("<II", content, directory_entry(content, b"a/data/0") + 20, 2**30, 2**30)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        refused(path, "fewer than what it announces", mmap=mmap)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_many_entries_of_the_same_bytes(tmp_path):
    """A file that would become a thousand times as large."""
    count, size = 200, 100_000
    keys = [b"%03d" % i for i in range(count)]
    of = [storage(b"ByteStorage", key, b"J" + struct.pack("<i", size)) for key in keys]
    data = b"\x80\x02(" + b"".join(tensor(of=each)[2:-1] for each in of) + b"t."
    path = archive(tmp_path / "a.pt", data, _000=bytes(size))
    content = path.read_bytes()
    where, end = directory_entry(content, b"a/data/000"), content.index(b"PK\x05\x06")
    entry = content[where:end]
    entries = b"".join(entry.replace(b"a/data/000", b"a/data/" + key) for key in keys)
    directory = content[content.index(b"PK\x01\x02") : where] + entries
    start = content.index(b"PK\x01\x02")
    last = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count + 1, count + 1, len(directory), start, 0)
    path.write_bytes(content[:start] + directory + last)
    refused(path, "fewer than what it announces")


def test_damage_of_the_numbers_is_noticed(tmp_path):
    content = bytearray(FILES[0].read_bytes())
    with zipfile.ZipFile(FILES[0]) as file:
        largest = max((entry for entry in file.infolist() if "/data/" in entry.filename), key=lambda e: e.file_size)
    local = content[largest.header_offset + 26 : largest.header_offset + 30]
    content[largest.header_offset + 30 + sum(struct.unpack("<HH", local)) + 5] ^= 4
    (tmp_path / "a.pt").write_bytes(content)
    refused(tmp_path / "a.pt", "is damaged: the checksum differs")


# --- random damage ----------------------------------------------------------------------------------------


def without_checksums(content):
    """The archive with no checksums, so that damage reaches what reads the entries."""
    content, at = bytearray(content), 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<I", content, at + 16, 0)
        at += 4
    return content


def damaged(content, rng):
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(content)))
        what = rng.integers(5)
        if what == 0:
            content[at] = rng.integers(256)
        elif what == 1:
            content[at] ^= 1 << int(rng.integers(8))
        elif what == 2:
            del content[at : at + int(rng.integers(1, 9))]
        elif what == 3:
            content[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1])))
        else:
            content[at:at] = content[int(rng.integers(len(content))) :][: int(rng.integers(1, 20))]
        if not content:
            break
    return bytes(content[: int(rng.integers(len(content) + 1))]) if rng.integers(20) == 0 else bytes(content)


def outcome(path, content):
    """ "read", or the error; tensors that were read can be used."""
    path.write_bytes(content)
    tracemalloc.start()
    started = time.process_time()
    try:
        found = tinycnn.load(path, mmap=len(content) % 3 == 0)
        left = [found]
        while left and len(left) < 1000:
            each = left.pop()
            if isinstance(each, tinycnn.Tensor):
                if each.numel() < 10**6:
                    float(each.detach().double().sum().item())
            elif isinstance(each, dict):
                left += each.values()
            elif isinstance(each, (list, tuple)):
                left += each
        return "read"
    except (ValueError, OSError, RuntimeError) as error:
        return f"refused: {type(error).__name__}: {error}"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3_000_000 + 100 * len(content)
        assert time.process_time() - started < 5


def pickle_of(path):
    with zipfile.ZipFile(path) as file:
        name = next(name for name in file.namelist() if name.endswith("data.pkl"))
        return name, {each: file.read(each) for each in file.namelist()}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["archive", "pickle", "former"])
def test_thousands_of_damaged_files(tmp_path, source):
    rng = np.random.default_rng(len(source))
    name, parts = pickle_of(FILES[0])
    path = re.escape(str(tmp_path / "a.pt"))
    expected = (
        rf"read|refused: ValueError: load: {path} is not a readable \w+ file: [^\n]{{1,400}}"
        rf"|refused: RuntimeError: load: {path} holds tensors of the device [^\n]*"
    )
    counts = {"read": 0, "refused": 0}
    for _ in range(800):
        if source == "pickle":
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as other:
                for each, part in parts.items():
                    other.writestr(each, damaged(part, rng) if each == name else part)
            content = file.getvalue()
        else:
            content = FILES[source == "former"].read_bytes()
            content = damaged(without_checksums(content) if source == "archive" else content, rng)
        found = outcome(tmp_path / "a.pt", content)
        counts[found.partition(":")[0]] += 1
        assert re.fullmatch(expected, found), found
    assert min(counts.values()) > 20, counts


def test_the_fuzzer_would_see_another_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tinycnn.interop.torch_file.read", lambda *_: {}["KeyError"])
    with pytest.raises(KeyError):
        outcome(tmp_path / "a.pt", FILES[0].read_bytes())
    monkeypatch.setattr("tinycnn.interop.torch_file.read", lambda *_: (bytes(10**8), "read"))
    with pytest.raises(AssertionError):
        outcome(tmp_path / "a.pt", FILES[0].read_bytes())
