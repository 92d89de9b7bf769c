"""Names of devices."""

import copy
import pickle

import pytest

import tinycnn
from tinycnn.backend import CPU, Device, device


def test_what_is_equal_has_one_hash():
    for found, name in ((Device.named("cpu"), "cpu"), (Device.named("cuda", 1), "cuda:1")):
        assert found == name
        assert {found: 1}[name] == 1
        assert {name: 1}[Device.named(found.type, found.index)] == 1
    assert Device.named("cuda", 0) != Device.named("cuda", 1)
    assert Device.named("cuda", 0) not in ("cpu", "cuda", "cuda:1", 0, None)


def test_it_is_the_class_of_every_device():
    assert device is Device
    assert isinstance(tinycnn.ones(1).device, tinycnn.device)
    assert device(CPU) is device("cpu") is device("cpu:0") is device(type="cpu", index=0) is CPU
    assert (CPU.type, CPU.index, repr(CPU)) == ("cpu", None, "device(type='cpu')")
    other = Device.named("cuda", 1)
    assert (other.type, other.index, repr(other)) == ("cuda", 1, "device(type='cuda', index=1)")
    assert [pickle.loads(pickle.dumps(d)) == copy.deepcopy(d) == d for d in (CPU, other)] == [True, True]
    with pytest.raises(AttributeError, match="^device: index cannot be changed$"):
        other.index = 2


@pytest.mark.parametrize("spec", ["gpus", "cuda:", "cuda:-1", "mps", True, 1.5, b"cpu"])
def test_what_is_no_device_is_refused(spec):
    with pytest.raises(ValueError, match="^device: expected 'cpu', 'gpu', 'cuda', 'cuda:N' or 'auto', got "):
        device(spec)


@pytest.mark.parametrize("name", ["cpu", "cuda:0"])
def test_a_device_prints_as_torchs(name):
    kind, _, index = name.partition(":")
    assert str(Device.named(kind, int(index or 0))) == name
