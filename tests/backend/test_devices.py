"""Names of devices."""

import pytest

from tinycnn.backend import Device


def test_what_is_equal_has_one_hash():
    for device, name in ((Device("cpu"), "cpu"), (Device("cuda", 1), "cuda:1")):
        assert device == name
        assert {device: 1}[name] == 1
        assert {name: 1}[Device(device.type, device.index)] == 1
    assert Device("cuda", 0) != Device("cuda", 1)
    assert Device("cuda", 0) not in ("cpu", "cuda", "cuda:1", 0, None)


@pytest.mark.parametrize("name", ["cpu", "cuda:0"])
def test_a_device_prints_as_torchs(name):
    kind, _, index = name.partition(":")
    assert str(Device(kind, int(index or 0))) == name
