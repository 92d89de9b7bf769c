"""Names of torch that are not here and are not to come."""

import pytest

import tinycnn
from tinycnn import _absent, nn
from tinycnn.nn import functional as F

OWNERS = {"tinycnn": tinycnn, "tinycnn.nn": nn, "tinycnn.nn.functional": F, "Tensor": tinycnn.ones(2)}
ABSENT = [(owner, name) for owner, names in _absent._NAMES.items() for name in names]


@pytest.mark.parametrize("owner, name", ABSENT)
def test_asking_for_one_says_so_in_one_line(owner, name):
    with pytest.raises(AttributeError, match=rf"^{owner}.{name}: .* it does not have ") as error:
        getattr(OWNERS[owner], name)
    assert "\n" not in str(error.value)
    assert not hasattr(OWNERS[owner], name)


@pytest.mark.parametrize("owner", OWNERS)
def test_a_name_that_nobody_knows_is_refused_as_python_does(owner):
    with pytest.raises(AttributeError, match="has no attribute 'unheard_of'$"):
        OWNERS[owner].unheard_of  # noqa: B018


@pytest.mark.torch
@pytest.mark.parametrize("owner, name", ABSENT)
def test_torch_has_them(owner, name):
    import torch

    owners = {"tinycnn": torch, "tinycnn.nn": torch.nn, "tinycnn.nn.functional": torch.nn.functional}
    assert hasattr(owners.get(owner, torch.Tensor), name)
