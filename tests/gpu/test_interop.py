"""Ways in and out, with memory of a GPU."""

import io

import numpy as np
import pytest

import tinycnn
from tinycnn import nn

pytestmark = pytest.mark.gpu


def sample(*shape):
    return tinycnn.tensor(np.arange(np.prod(shape), dtype="float32").reshape(shape))


def round_trip(obj, **options):
    file = io.BytesIO()
    tinycnn.save(obj, file)
    file.seek(0)
    return tinycnn.load(file, **options)


def test_a_file_of_torch_says_where_its_tensors_were():
    x = sample(3, 4).gpu()
    saved = {"x": x, "T": x.T, "column": x[:, 1], "empty": x[:0], "here": sample(2)}
    saved["layer"] = nn.Linear(3, 2).gpu().state_dict()
    for map_location, device in ((None, "cuda:0"), ("cuda:0", "cuda:0"), ("cpu", "cpu"), ({"cuda:0": "cpu"}, "cpu"),
                                 (lambda storage, location: storage, "cpu"),
                                 (lambda storage, location: storage.cuda(0), "cuda:0")):  # fmt: skip
        loaded = round_trip(saved, map_location=map_location)
        assert {str(loaded[key].device) for key in ("x", "T", "column", "empty")} == {device}
        assert loaded["layer"]["weight"].device == device
        for key in ("x", "T", "column", "empty", "here"):
            np.testing.assert_array_equal(loaded[key].cpu().numpy(), saved[key].cpu().numpy())
    assert round_trip(saved)["here"].device == "cpu"


def test_tensors_of_one_storage_share_memory():
    x = sample(3, 4).gpu()
    tied = nn.Parameter(x)
    loaded = round_trip({"a": tied, "same": tied, "detached": x})
    assert loaded["a"] is loaded["same"]
    loaded["detached"].zero_()
    assert loaded["a"].detach().sum().item() == 0


def test_a_safetensors_file_goes_to_the_device(tmp_path):
    tinycnn.save({"x": sample(3).gpu()}, tmp_path / "a.safetensors")
    assert tinycnn.load(tmp_path / "a.safetensors")["x"].device == "cpu"
    assert tinycnn.load(tmp_path / "a.safetensors", map_location="cuda:0")["x"].device == "cuda:0"


def test_dlpack_shares_memory_of_the_device():
    x = sample(3, 4).gpu()
    assert x.__dlpack_device__() == (2, 0)
    for source in (x, x.T, x[1]):
        other = tinycnn.from_dlpack(source)
        assert other.device == "cuda:0"
        np.testing.assert_array_equal(other.cpu().numpy(), source.cpu().numpy())
    tinycnn.from_dlpack(x._array).zero_()
    assert x.sum().item() == 0
    tinycnn.from_dlpack(x, copy=True).fill_(1)
    assert x.sum().item() == 0


def test_dlpack_from_one_device_to_another():
    x = sample(3, 4)
    there = tinycnn.from_dlpack(x, device="cuda:0")
    assert there.device == "cuda:0"
    assert there.cpu().tolist() == x.tolist()
    back = tinycnn.from_dlpack(there, device="cpu")
    assert back.device == "cpu"
    assert back.tolist() == x.tolist()
    with pytest.raises(ValueError, match="^from_dlpack: memory on cpu is to be on cuda:0, which needs a copy$"):
        tinycnn.from_dlpack(x, device="cuda:0", copy=False)
    np.testing.assert_array_equal(np.from_dlpack(there, device="cpu"), x.numpy())
    with pytest.raises(BufferError, match="without a copy"):
        there.__dlpack__(dl_device=(1, 0), copy=False)


def test_a_tensor_on_a_gpu_is_no_array_of_numpy():
    with pytest.raises(TypeError, match=r"this tensor is on cuda:0; use tensor.cpu\(\).numpy\(\)"):
        np.asarray(sample(2).gpu())
    assert sample(2).gpu().requires_grad_().numpy(force=True).tolist() == [0, 1]
