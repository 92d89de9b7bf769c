"""Default values: those of torch, wherever torch has the parameter, and a list of the others."""

import json
from pathlib import Path

import pytest

import tinycnn
from tests.defaults import defaults, public

RECORDED = json.loads((Path(__file__).parent / "fixtures" / "defaults.json").read_text(encoding="utf-8"))
# Other defaults than torch's; with the parameters that torch does not have, or does not show, all that are not None.
OWN = {
    "Tensor": {"requires_grad": False},
    "Generator": {"device": "cpu"},
    "arange": {"requires_grad": False},
    "argsort": {"stable": False},
    "asarray": {"requires_grad": False},
    "celu": {"inplace": False},
    "dropout": {"p": 0.5, "training": True, "inplace": False},  # torch.dropout has no defaults
    "max_pool1d": {"return_indices": False},
    "max_pool2d": {"return_indices": False},
    "max_pool3d": {"return_indices": False},
    "selu": {"inplace": False},
    "threshold": {"inplace": False},
    "is_autocast_enabled": {"device_type": "cuda"},  # torch's is written in C
    "bernoulli": {"p": None},
    "empty_like": {"requires_grad": False},
    "eye": {"requires_grad": False},
    "fork_rng": {"enabled": True},
    "full": {"requires_grad": False},
    "full_like": {"requires_grad": False},
    "gradcheck": {"seed": 0},
    "gradgradcheck": {"seed": 0},
    "linspace": {"requires_grad": False},
    "logspace": {"requires_grad": False},
    "nonzero": {"as_tuple": False},
    "normal": {"requires_grad": False},
    "ones_like": {"requires_grad": False},
    "rand_like": {"requires_grad": False},
    "randint": {"dtype": None, "requires_grad": False},
    "randint_like": {"requires_grad": False},
    "randn_like": {"requires_grad": False},
    "randperm": {"dtype": None},
    "layout": {"start": 1},  # of any enum
    "memory_format": {"start": 1},
    "round": {"decimals": 0},
    "round_": {"decimals": 0},
    "scalar_tensor": {"requires_grad": False},
    "sort": {"stable": False},
    "std": {"unbiased": None, "correction": 1},
    "std_mean": {"unbiased": None, "correction": 1},
    "summary": {"show": True},
    "tril_indices": {"dtype": None},
    "triu_indices": {"dtype": None},
    "unique": {"sorted": True, "return_inverse": False, "return_counts": False},
    "var": {"unbiased": None, "correction": 1},
    "var_mean": {"unbiased": None, "correction": 1},
    "zeros_like": {"requires_grad": False},
    "Tensor.argsort": {"stable": False},
    "Tensor.bernoulli": {"p": None},
    "Tensor.contiguous": {"memory_format": None},
    "Tensor.cuda": {"non_blocking": False},
    "Tensor.new_full": {"requires_grad": False},
    "Tensor.new_tensor": {"requires_grad": False},
    "Tensor.nonzero": {"as_tuple": False},
    "Tensor.numpy": {"force": False},
    "Tensor.round": {"decimals": 0},
    "Tensor.round_": {"decimals": 0},
    "Tensor.sort": {"stable": False},
    "Tensor.std": {"unbiased": None, "correction": 1},
    "Tensor.var": {"unbiased": None, "correction": 1},
    "Tensor.random_": {"low": 0},
    "Tensor.uniform_": {"a": 0.0, "b": 1.0},
    "data.ArrayDataset": {"name": "ArrayDataset"},
    "data.CIFAR10": {"train": True, "download": False},
    "data.CIFAR100": {"train": True, "download": False},
    "data.DatasetFolder": {"allow_empty": False},
    "data.Digits": {"train": True, "scale": 4},
    "data.EMNIST": {"train": True, "download": False},
    "data.FakeData": {"size": 1000, "image_size": [3, 224, 224], "num_classes": 10, "random_offset": 0},
    "data.FashionMNIST": {"train": True, "download": False, "normalize": True},
    "data.MNIST": {"train": True, "download": False, "normalize": True},
    "data.QMNIST": {"compat": True, "train": True, "download": False},
    "data.SVHN": {"split": "train", "download": False},
    "data.ImageFolder": {"allow_empty": False},
    "data.Normalize": {"inplace": False},
    "data.KMNIST": {"train": True, "download": False, "normalize": True},
    "data.make_grid": {
        "nrow": 8, "padding": 2, "normalize": False, "scale_each": False, "pad_value": 0.0,
    },
    "data.RandomShift": {"fill": 0.0},
    "nn.Module.state_dict": {"prefix": "", "keep_vars": False},
    "nn.functional.batch_norm": {"name": "batch_norm"},
    "nn.functional.binary_cross_entropy": {"name": "binary_cross_entropy"},
    "nn.functional.binary_cross_entropy_with_logits": {"name": "binary_cross_entropy_with_logits"},
    "nn.functional.cross_entropy": {"name": "cross_entropy"},
    "nn.functional.l1_loss": {"name": "l1_loss"},
    "nn.functional.mse_loss": {"name": "mse_loss"},
    "nn.functional.nll_loss": {"name": "nll_loss"},
    "nn.functional.smooth_l1_loss": {"name": "smooth_l1_loss"},
    "optim.Lion": {"lr": 1e-4, "betas": [0.9, 0.99], "weight_decay": 0, "maximize": False},  # torch has none
    "optim.SGD": {"decoupled_weight_decay": False},  # torch's Adam, NAdam and RAdam have it
    "optim.clip_grad_norm_": {"norm_type": 2.0, "error_if_nonfinite": False},
}
# Torch does not show the arguments of its old names.
OLD = {f"nn.init.{name}": f"nn.init.{name}_" for name in (
    "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "sparse", "uniform",
    "xavier_normal", "xavier_uniform")}  # fmt: skip
FOUND = {
    f"{place}.{name}".removeprefix("."): found for place, name, value in public(tinycnn) if (found := defaults(value))
}


def same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def test_all_that_torch_has_is_compared():
    assert set(RECORDED) == {name for name in FOUND if name in RECORDED}, "run tests/fixtures/record_defaults.py"
    assert len(RECORDED) > 200


@pytest.mark.parametrize("name", FOUND)
def test_default_values(name):
    recorded = RECORDED.get(OLD.get(name, name), {})
    other = {
        parameter: value
        for parameter, value in FOUND[name].items()
        if not any(same(value, torchs) for torchs in recorded.get(parameter, [None]))
    }
    assert other == OWN.get(name, {})
