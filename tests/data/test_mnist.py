"""MNIST: the checks, the downloads (from a server in this process) and the real files."""

import contextlib
import errno
import gzip
import http.server
import itertools
import os
import re
import sys
import threading
import types

import numpy as np
import pytest

from tests.crash import watch
from tests.data.files import idx_bytes, md5, peak_of
from tinycnn._extras import how_to_install
from tinycnn.data import KMNIST, MNIST, Compose, DownloadError, FashionMNIST, Normalize, read_idx
from tinycnn.data.transforms import ToTensor

NAMES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.fixture
def arrays():
    """By file: a small set with the real one's structure, whose images are not square."""
    rng = np.random.default_rng(0)
    shapes = [(9, 5, 6), (9,), (4, 5, 6), (4,)]
    return {
        name: rng.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
        for name, shape in zip(NAMES, shapes, strict=True)
    }


@pytest.fixture
def contents(arrays, monkeypatch):
    """By file: (content, published .gz) of that set, whose checksums are made those of MNIST."""
    contents = {}
    for name, array in arrays.items():
        content = idx_bytes(array)
        contents[name] = content, gzip.compress(content)
    sums = {name: (md5(content), md5(packed)) for name, (content, packed) in contents.items()}
    monkeypatch.setattr(MNIST, "checksums", sums)
    monkeypatch.setattr(FashionMNIST, "checksums", sums)
    return contents


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    return folder


def write_all(folder, contents):
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)


# --- from disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset_class", [MNIST, FashionMNIST])
@pytest.mark.parametrize("train", [True, False])
def test_images_and_targets(tmp_path, arrays, contents, dataset_class, train):
    folder = tmp_path / dataset_class.folder / "raw"
    folder.mkdir(parents=True)
    write_all(folder, contents)
    dataset = dataset_class(tmp_path, train=train)
    images, labels = (arrays[name] for name in (NAMES[:2] if train else NAMES[2:]))
    mean, std = {MNIST: (0.1307, 0.3081), FashionMNIST: (0.2860, 0.3530)}[dataset_class]
    assert dataset.images.shape == (len(labels), 1, 5, 6)
    assert dataset.images.dtype == np.float32
    np.testing.assert_allclose(dataset.images[:, 0], (images / 255 - mean) / std, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(dataset.targets, labels)
    assert len(dataset.classes) == 10
    assert repr(dataset).startswith(f"{dataset_class.__name__}({len(labels)} images of 1×5×6, 10 classes, ")


def test_kmnist_is_checked_as_it_is_downloaded(tmp_path, arrays, contents):
    folder = tmp_path / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    write_all(folder, contents)
    dataset = KMNIST(tmp_path, train=False)
    np.testing.assert_array_equal(dataset.data.numpy(), arrays[NAMES[2]])
    assert dataset.classes[4] == "na"


def test_what_torchvision_calls_them(tmp_path, raw, arrays, contents):
    write_all(raw, contents)
    dataset = MNIST(tmp_path, True, None, lambda target: -target)
    assert (dataset.data.dtype, dataset.targets.dtype, dataset.train) == (np.uint8, np.int64, True)
    np.testing.assert_array_equal(dataset.train_data.numpy(), arrays[NAMES[0]])
    np.testing.assert_array_equal(dataset.train_labels.numpy(), arrays[NAMES[1]])
    assert dataset.class_to_idx["7 - seven"] == 7
    assert dataset[3][1] == -int(arrays[NAMES[1]][3])


def test_the_usual_pipeline_is_the_default(tmp_path, raw, contents):
    write_all(raw, contents)
    usual = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    np.testing.assert_array_equal(MNIST(tmp_path, transform=usual).images, MNIST(tmp_path).images)


def test_other_normalisations_and_a_transform(tmp_path, raw, arrays, contents):
    write_all(raw, contents)
    images = arrays[NAMES[0]][:, None].astype(np.float32) / np.float32(255)
    for off in (None, False):
        np.testing.assert_array_equal(MNIST(tmp_path, normalize=off).images, images)
    np.testing.assert_allclose(MNIST(tmp_path, normalize=(0.5, 2)).images, (images - 0.5) / 2, atol=1e-6)
    image, _ = MNIST(tmp_path, True, Compose([ToTensor(), lambda image: image + 3]))[2]
    np.testing.assert_allclose(image.numpy(), images[2] + 3)
    with pytest.raises(ValueError, match="^MNIST: expected a transform or normalize, got both; put Normalize into it$"):
        MNIST(tmp_path, True, ToTensor(), normalize=False)


def test_root_from_the_environment_or_data(tmp_path, raw, contents, monkeypatch):
    write_all(raw, contents)
    monkeypatch.setenv("TINYCNN_DATA", str(tmp_path))
    assert len(MNIST()) == 9
    monkeypatch.delenv("TINYCNN_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="data.MNIST.raw"):
        MNIST()
    (tmp_path / "data").symlink_to(tmp_path)
    assert len(MNIST()) == 9


def test_plain_or_compressed_whoever_compressed_it(tmp_path, raw, contents):
    for name, (content, published) in contents.items():
        packed = gzip.compress(content, compresslevel=1, mtime=1)
        assert packed != published
        (raw / f"{name}.gz").write_bytes(packed)
    assert len(MNIST(tmp_path)) == 9
    (raw / NAMES[0]).write_bytes(contents[NAMES[0]][0])
    (raw / f"{NAMES[0]}.gz").write_bytes(b"the plain file is taken first")
    assert len(MNIST(tmp_path)) == 9


def test_missing_files_are_named(tmp_path, raw, contents):
    message = (
        f"^MNIST: no {NAMES[0]}.gz and {NAMES[1]}.gz in {re.escape(str(raw))}; pass download=True or set "
        r"root= or the environment variable TINYCNN_DATA to the folder with MNIST/raw\Z"
    )
    with pytest.raises(FileNotFoundError, match=message):
        MNIST(tmp_path)
    (raw / NAMES[0]).write_bytes(contents[NAMES[0]][0])
    with pytest.raises(FileNotFoundError, match=f"^MNIST: no {NAMES[1]}.gz in "):
        MNIST(tmp_path)
    with pytest.raises(FileNotFoundError, match="^FashionMNIST: no .*FashionMNIST.raw; .*FashionMNIST/raw$"):
        FashionMNIST(tmp_path)


def test_one_wrong_bit_is_found(tmp_path, raw, contents):
    write_all(raw, contents)
    content = bytearray(contents[NAMES[2]][0])
    content[-1] ^= 1
    path = raw / f"{NAMES[2]}"
    path.write_bytes(content)
    message = (
        f"^{re.escape(str(path))}: expected MD5 {md5(contents[NAMES[2]][0])} of the decompressed bytes, "
        rf"got {md5(content)}; delete the file and load with download=True\Z"
    )
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path, train=False)
    assert len(MNIST(tmp_path, train=True)) == 9


def test_mnists_files_are_not_read_if_they_announce_more(tmp_path, raw, contents):
    write_all(raw, contents)
    with gzip.open(raw / f"{NAMES[2]}.gz", "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (100, 1000, 1000)))
        for _ in range(100):
            file.write(bytes(10**6))
    (raw / NAMES[2]).unlink()

    def refused():
        message = "expected 67,108,864 bytes at most, got a header that announces 100,000,016"
        with pytest.raises(ValueError, match=message):
            MNIST(tmp_path, train=False)

    assert peak_of(refused) < 2**20


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.array([3, 0, 10, 1], np.uint8), r"^MNIST: expected targets within 0\.\.9, got 0\.\.10$"),
        (np.array([3, 0, 1], np.uint8), f"{NAMES[3]}: expected 4 labels, got 3$"),
    ],
)
def test_labels_must_fit(tmp_path, raw, contents, labels, message):
    write_all(raw, contents)
    (raw / NAMES[3]).write_bytes(idx_bytes(labels))
    MNIST.checksums[NAMES[3]] = md5(idx_bytes(labels)), ""  # as if these labels had been published
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path, train=False)


# --- downloads --------------------------------------------------------------------------------------------


class Server:
    """Serves `files` (by path) on a port of this machine, `broken` ones by half; notes what was asked for."""

    def __init__(self):
        self.files, self.broken, self.asked = {}, set(), []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                content = server.files.get(self.path)
                if content is None:
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if self.path in server.broken else content)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(contents, monkeypatch):
    """Serves the small set below /one/ and /two/, MNIST's mirrors."""
    pytest.importorskip("pooch", reason="needs pooch")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    for mirror in ("one", "two"):
        for name, (_, packed) in contents.items():
            server.files[f"/{mirror}/{name}.gz"] = packed
    monkeypatch.setattr(MNIST, "mirrors", (f"{server.url}/one/", f"{server.url}/two/"))
    yield server
    server.close()


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_then_read_from_disk(tmp_path, server, arrays):
    dataset = MNIST(tmp_path, download=True)
    np.testing.assert_array_equal(dataset.targets, arrays[NAMES[1]])
    assert files_in(tmp_path) == [f"{name}.gz" for name in NAMES[:2]]
    assert server.asked == [f"/one/{name}.gz" for name in NAMES[:2]]
    MNIST(tmp_path, download=True)
    assert len(server.asked) == 2  # nothing is fetched twice
    MNIST(tmp_path, train=False, download=True)
    assert files_in(tmp_path) == sorted(f"{name}.gz" for name in NAMES)


def test_second_mirror_helps_out(tmp_path, server, arrays, monkeypatch):
    nobody = Server()
    nobody.close()
    monkeypatch.setattr(MNIST, "mirrors", (f"{nobody.url}/", f"{server.url}/two/"))
    np.testing.assert_array_equal(MNIST(tmp_path, download=True).targets, arrays[NAMES[1]])
    assert server.asked == [f"/two/{name}.gz" for name in NAMES[:2]]


def test_without_tqdm_there_is_no_progress_bar(tmp_path, server, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr("pooch.downloaders.tqdm", None)
    assert len(MNIST(tmp_path, download=True)) == 9
    assert not re.search(r"\d%", capsys.readouterr().err)


@pytest.mark.parametrize("fault", ["missing", "wrong", "broken"])
def test_every_fault_of_the_first_mirror_leads_to_the_second(tmp_path, server, fault):
    path = f"/one/{NAMES[1]}.gz"
    if fault == "missing":
        del server.files[path]
    elif fault == "wrong":
        server.files[path] = server.files[f"/one/{NAMES[0]}.gz"]
    else:
        server.broken.add(path)
    assert len(MNIST(tmp_path, download=True)) == 9
    assert server.asked == [f"/one/{NAMES[0]}.gz", path, f"/two/{NAMES[1]}.gz"]
    assert files_in(tmp_path) == [f"{name}.gz" for name in NAMES[:2]]


def test_when_no_mirror_delivers(tmp_path, server):
    path = f"{NAMES[0]}.gz"
    server.files[f"/one/{path}"] = gzip.compress(b"something else")
    server.broken.add(f"/two/{path}")
    with pytest.raises(DownloadError) as caught:
        MNIST(tmp_path, download=True)
    message = str(caught.value)
    assert isinstance(caught.value, OSError)
    assert "\n" not in message
    assert message.startswith(f"MNIST: could not download {path} and {NAMES[1]}.gz: {server.url}/one/: ")
    assert MNIST.checksums[NAMES[0]][1] in message  # the checksum that was expected
    assert f"; {server.url}/two/: " in message
    assert message.endswith(f"or put the files into {tmp_path / 'MNIST' / 'raw'} by hand")
    assert files_in(tmp_path) == []  # nothing half-written


def test_an_unwritable_folder_is_a_download_error(tmp_path, server):
    (tmp_path / "MNIST").write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="could not download"):
        MNIST(tmp_path, download=True)


@pytest.mark.parametrize("flag", ["train", "download"])
@pytest.mark.parametrize("value", ["test", 1, 0, None])
def test_flags_are_true_or_false(tmp_path, flag, value):
    message = rf"^MNIST: expected {flag} as True or False, got {value!r} \({type(value).__name__}\)$"
    with pytest.raises(TypeError, match=message):
        MNIST(tmp_path, **{flag: value})


@pytest.mark.parametrize("root", [0, b"data", ["data"]])
def test_root_is_a_path(root):
    with pytest.raises(TypeError, match="^FashionMNIST: expected root as a str or os.PathLike, got "):
        FashionMNIST(root)


@pytest.mark.parametrize("normalize", [0, 1, "yes", (0.5,), (1, 2, 3), np.ones(2)])
def test_normalize_is_a_flag_or_a_pair(tmp_path, raw, contents, normalize):
    write_all(raw, contents)
    with pytest.raises(TypeError, match=r"^MNIST: expected normalize as \(mean, std\), got "):
        MNIST(tmp_path, normalize=normalize)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES], ids=errno.errorcode.get)
def test_a_failure_at_any_system_call_leaves_no_rubbish_beside_the_data(tmp_path, server, code, monkeypatch):
    def fail(name):
        raise OSError(code, os.strerror(code))

    for fails in itertools.count():
        watched = watch(monkeypatch, fails, fail)
        with contextlib.suppress(OSError):
            MNIST(tmp_path, download=True)
        found = files_in(tmp_path)
        assert set(found) <= {f"{name}.gz" for name in NAMES[:2]}
        for name in found:
            assert (tmp_path / "MNIST" / "raw" / name).read_bytes() == server.files[f"/one/{name}"]
            (tmp_path / "MNIST" / "raw" / name).unlink()
        if fails >= len(watched.calls):
            break
    assert (fails > 16, len(found)) == (True, 2)


def fake_torchvision(monkeypatch, mnist):
    monkeypatch.setitem(sys.modules, "pooch", None)
    datasets = types.SimpleNamespace(MNIST=mnist)
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(datasets=datasets))


def test_torchvision_downloads_where_pooch_is_missing(tmp_path, contents, monkeypatch):
    def mnist(root, download):
        assert download
        folder = root / "MNIST" / "raw"
        folder.mkdir(parents=True)
        write_all(folder, contents)

    fake_torchvision(monkeypatch, mnist)
    assert len(MNIST(tmp_path, download=True)) == 9


def test_torchvisions_failure_is_a_download_error(tmp_path, monkeypatch):
    def mnist(root, download):
        raise RuntimeError("Error downloading\ntrain-images")

    fake_torchvision(monkeypatch, mnist)
    message = rf"^MNIST: could not download {NAMES[0]}.* torchvision: Error downloading train-images; "
    with pytest.raises(DownloadError, match=message):
        MNIST(tmp_path, download=True)


def test_without_either_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    message = f"MNIST: downloading needs pooch, which is not installed: {how_to_install('examples')}"
    with pytest.raises(ImportError, match=rf"^{re.escape(message)}\Z"):
        MNIST(tmp_path, download=True)


# --- the real files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("train, N", [(True, 60000), (False, 10000)])
def test_real_mnist(mnist_root, train, N):
    dataset = MNIST(mnist_root, train=train)
    assert dataset.images.shape == (N, 1, 28, 28)
    mean, std = dataset.images.mean(dtype=np.float64), dataset.images.std(dtype=np.float64)
    if train:
        assert max(abs(mean), abs(std - 1)) < 1e-3
        counts = np.bincount(dataset.targets).tolist()
        assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert dataset.images.min() == pytest.approx(dataset.background)


@pytest.mark.torch
def test_real_mnist_equals_torchvisions_arithmetic(mnist_root):
    import torch

    dataset = MNIST(mnist_root, train=False)
    raw = read_idx(mnist_root / "MNIST" / "raw" / f"{NAMES[2]}.gz")
    expected = torch.from_numpy(raw.copy())[:, None].float().div(255).sub(0.1307).div(0.3081)
    np.testing.assert_array_equal(dataset.images, expected.numpy())
