"""The IDX format: what is read, and what is refused, with the defect."""

import gzip
import lzma
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.files import idx_bytes, peak_of
from tinycnn.data import read_idx


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("dtype, shape", [("uint8", (9, 5, 6)), ("uint8", (9,)), ("int32", (9, 8))])
def test_read_idx(tmp_path, dtype, shape, pack):
    limits = np.iinfo(dtype)
    array = np.random.default_rng(0).integers(limits.min, limits.max, shape, dtype, endpoint=True)
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(array)))
    for given_path in (path, str(path)):
        result = read_idx(given_path)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, array)


def test_read_idx_of_what_packs_well_or_not_at_all(tmp_path):
    rng = np.random.default_rng(0)
    for array in (np.zeros((100, 100, 100)), rng.integers(0, 256, (9, 30, 40)), np.zeros((0, 3, 4))):
        array = array.astype(np.uint8)
        (tmp_path / "file").write_bytes(gzip.compress(idx_bytes(array)))
        result = read_idx(tmp_path / "file")
        assert result.shape == array.shape
        np.testing.assert_array_equal(result, array)


def test_what_read_idx_returns_is_read_only(tmp_path):
    (tmp_path / "file").write_bytes(IMAGES)
    with pytest.raises(ValueError, match="read-only"):
        read_idx(tmp_path / "file")[0] = 1


IMAGES = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(IMAGES)
INTEGERS = idx_bytes(np.arange(6, dtype=np.int32).reshape(3, 2))
NOISE = idx_bytes(np.random.default_rng(0).integers(0, 256, (9, 30, 40), np.uint8))
MAGIC = r"the magic number 0x00000801 \(labels\) or 0x00000803 \(images\) or 0x00000c02 \(labels of QMNIST\), got "


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "an IDX file, got an empty one"),
        (gzip.compress(b""), "an IDX file, got an empty one"),
        (b"\0\0", MAGIC + "00 00"),
        (b"<html>not found</html>", MAGIC + "3c 68 74 6d"),
        (b"\0\0\x0d\x03" + IMAGES[4:], MAGIC + "00 00 0d 03"),  # floats
        (b"\0\0\x08\x02" + IMAGES[4:], MAGIC + "00 00 08 02"),  # two dimensions
        (IMAGES[:10], "a header of 16 bytes, got a file of 10"),
        (IMAGES[:-5], r"40 bytes for shape \(2, 3, 4\), got 35 \(truncated\)"),
        (IMAGES[:16], r"40 bytes for shape \(2, 3, 4\), got 16 \(truncated\)"),
        (IMAGES + b"\0\0", r"40 bytes for shape \(2, 3, 4\), got 42 \(trailing bytes\)"),
        (b"\0\0\x08\x03" + b"\xff" * 12, r"79228162458924105385300197391 bytes for shape .*\(truncated\)"),
        (PACKED[:-12], r"an intact gzip file, got a damaged one \(.+\)"),
        (PACKED[:15], r"an intact gzip file, got a damaged one \(.+\)"),
        (PACKED[:-6] + b"\0" + PACKED[-5:], r"an intact gzip file, got a damaged one \(CRC check failed.*\)"),
        (PACKED[:12] + b"\xff" * 9 + PACKED[21:], MAGIC + "00 07 ff ff"),
        (gzip.compress(NOISE)[:-400] + bytes(400), r"an intact gzip file, got a damaged one \(.+\)"),
        (gzip.compress(IMAGES + b"\0\0"), r"40 bytes for shape \(2, 3, 4\), got 41 \(trailing bytes\)"),
        (gzip.compress(IMAGES[:-5]), r"40 bytes for shape \(2, 3, 4\), got 35 \(truncated\)"),
        (gzip.compress(IMAGES[:10]), "a header of 16 bytes, got a file of 10"),
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), r"79228162458924105385300197391 bytes for .*\(truncated\)"),
        (INTEGERS[:-3], r"36 bytes for shape \(3, 2\), got 33 \(truncated\)"),
        (lzma.compress(IMAGES)[:-20], r"an intact xz file, got a damaged one \(.+\)"),
        (lzma.compress(IMAGES)[:30] + b"\xff" * 20, r"an intact xz file, got a damaged one \(.+\)"),
        (lzma.compress(IMAGES + b"\0"), r"40 bytes for shape \(2, 3, 4\), got 41 \(trailing bytes\)"),
        (lzma.compress(b"\0\0\x08\x03" + b"\xff" * 12), r"79228162458924105385300197391 bytes .*\(truncated\)"),
        (b"\0\0\x08\x03" + bytes(4) + b"\xff" * 8, r"sizes of an array, got shape \(0, 4294967295, 4294967295\)"),
    ],
)
def test_read_idx_refuses(tmp_path, content, problem):
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    remedy = "; delete the file and load with download=True"
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: expected {problem}{remedy}\Z"):
        read_idx(path)


def test_read_idx_refuses_a_folder(tmp_path):
    with pytest.raises(ValueError, match="expected an IDX file, got a folder; remove it or name the file "):
        read_idx(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
@pytest.mark.timeout(10)
def test_read_idx_refuses_what_is_no_file_and_does_not_wait_for_it(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, kind in ((tmp_path / "fifo", "FIFO"), (os.devnull, "device")):
        with pytest.raises(ValueError, match=rf"^{path}: expected an IDX file, got a {kind}; remove it$"):
            read_idx(path)


@pytest.mark.parametrize("path, error, message", [
    (3, TypeError, "read_idx: expected path as a str or os.PathLike, got int"),
    ("a\0", ValueError, r"read_idx: expected path without a null character, got 'a\x00'"),
])  # fmt: skip
def test_read_idx_of_no_path(path, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        read_idx(path)


@pytest.mark.parametrize(
    "announced", [(2, 3, 4), (2**31, 2**31, 2**31), (60, 1000, 1000)], ids=["less", "more than can be", "more"]
)
def test_a_gzip_bomb_is_read_no_further_than_it_announces(tmp_path, announced):
    path = tmp_path / "bomb"
    header = IMAGES[:4] + b"".join(size.to_bytes(4, "big") for size in announced)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header)
        for _ in range(50):
            file.write(bytes(2**20))
    unpacked = 16 + 50 * 2**20

    def refused():
        with pytest.raises(ValueError, match=r"expected \d+ bytes for shape .*\((truncated|trailing bytes)\)"):
            read_idx(path)

    assert peak_of(refused) < (1.3 * unpacked if announced[0] == 60 else 2**20)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
def test_without_memory_the_size_is_named(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(IMAGES[:4] + b"".join(size.to_bytes(4, "big") for size in (300, 1000, 1000)))
        file.truncate(16 + 300 * 10**6)  # a file with a hole: it takes no space
    code = (
        "import resource, sys; from tinycnn.data import read_idx\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, used + 10**8))\n"
        "try: read_idx(sys.argv[1])\nexcept MemoryError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stdout == f"{path}: not enough memory for 300,000,016 bytes, shape (300, 1000, 1000)\n"


def test_read_idx_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        read_idx(tmp_path / "nothing-here")


@given(data=st.data(), packed=st.booleans())
def test_a_damaged_file_is_an_error_of_one_line_or_another_array(tmp_path_factory, data, packed):
    content = bytearray(PACKED if packed else IMAGES)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        outcome = read_idx(path)
    except ValueError as error:
        outcome = str(error)
    if isinstance(outcome, str):
        assert re.match(rf"{re.escape(str(path))}: expected .*download=True\Z", outcome)
    else:
        assert outcome.dtype in (np.uint8, np.int32)
