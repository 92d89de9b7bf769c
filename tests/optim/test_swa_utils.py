"""Averages of weights: the values of torch, statistics of batch norm, the learning rate, and what they refuse."""

import copy

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim
from tinycnn.optim import swa_utils

NUMBERS = np.random.default_rng(0).standard_normal((5, 8, 3, 4, 4)).astype("float32")

AVERAGES = {
    "default": lambda utils: {},
    "buffers": lambda utils: {"use_buffers": True},
    "a function": lambda utils: {"avg_fn": lambda averaged, current, count: averaged * 0.5 + current * (0.1 + count)},
    "ema": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.9), "use_buffers": True},
    "mean": lambda utils: {"avg_fn": utils.get_swa_avg_fn()},
    "ema of lists": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.9)},
    "mean of lists": lambda utils: {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
    "lists with buffers": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(), "use_buffers": True},
}


def averaged(lib, options):
    """The state after averages over five nets, and after update_bn."""
    net = lib.nn.Sequential(lib.nn.Conv2d(3, 2, 3), lib.nn.BatchNorm2d(2), lib.nn.ReLU())
    model = lib.optim.swa_utils.AveragedModel(net, **options(lib.optim.swa_utils))
    for i, batch in enumerate(NUMBERS):
        for j, parameter in enumerate(net.parameters()):
            values = np.random.default_rng((i, j)).standard_normal(tuple(parameter.shape)).astype("float32")
            with lib.no_grad():
                parameter.copy_(lib.from_numpy(values))
        net(lib.from_numpy(batch.copy()))
        model.update_parameters(net)
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    batches = [(lib.from_numpy(batch.copy()), None) for batch in NUMBERS]
    lib.optim.swa_utils.update_bn(batches, model)
    output = model.eval()(lib.from_numpy(NUMBERS[0].copy())).detach().numpy()
    return before, {key: value.numpy() for key, value in model.state_dict().items()}, output


@pytest.mark.torch
@pytest.mark.parametrize("options", AVERAGES.values(), ids=AVERAGES)
def test_averages_of_live_torch(options):
    import torch

    for ours, theirs in zip(averaged(tinycnn, options)[:2], averaged(torch, options)[:2], strict=True):
        assert list(ours) == list(theirs)
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-5, err_msg=key)
            assert ours[key].dtype == theirs[key].dtype


def test_the_mean_of_three():
    net = nn.Linear(2, 1)
    model = swa_utils.AveragedModel(net)
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(net.weight, value)
        model.update_parameters(net)
    assert model.module.weight.tolist() == [[3.0, 3.0]]
    assert model.n_averaged.item() == 3
    assert net.weight.tolist() == [[6.0, 6.0]]


def test_update_bn_restores_momentum_and_mode():
    net = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Dropout()).eval()
    swa_utils.update_bn([tinycnn.from_numpy(batch) for batch in NUMBERS], net, device="cpu")
    assert net[0].momentum == 0.3
    assert not net.training
    np.testing.assert_allclose(net[0].running_mean.numpy(), NUMBERS.mean((0, 1, 3, 4)), rtol=1e-4, atol=1e-6)
    swa_utils.update_bn([], nn.Linear(1, 1))  # nothing to do


SCHEDULES = [
    {"swa_lr": 0.05},
    {"swa_lr": [0.05, 0.7], "anneal_epochs": 3},
    {"swa_lr": 0.2, "anneal_epochs": 5, "anneal_strategy": "linear"},
    {"swa_lr": 0.2, "anneal_epochs": 0},
    {"swa_lr": 0.2, "anneal_epochs": 1, "anneal_strategy": "linear"},
]


def rates(lib, options):
    groups = [{"params": [lib.ones(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.4)]
    optimizer = lib.optim.SGD(groups, lr=0.1)
    schedule = lib.optim.swa_utils.SWALR(optimizer, **options)
    found = [schedule.get_last_lr()]
    for _ in range(7):
        optimizer.step()
        schedule.step()
        found.append(schedule.get_last_lr())
    return found, schedule.state_dict()


@pytest.mark.torch
@pytest.mark.parametrize("options", SCHEDULES, ids=str)
def test_rates_of_live_torch(options):
    import torch

    (ours, state), (theirs, reference) = rates(tinycnn, options), rates(torch, options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    schedule = swa_utils.SWALR(optim.SGD([{"params": [tinycnn.ones(1)]}, {"params": [tinycnn.ones(1)]}], 1.0), 0.3)
    schedule.load_state_dict(reference)
    assert schedule.state_dict() == {**state, "_last_lr": reference["_last_lr"]}


def test_rates():
    found, _ = rates(tinycnn, {"swa_lr": 0.2, "anneal_epochs": 2, "anneal_strategy": "linear"})
    np.testing.assert_allclose(found, [[0.1, 0.4], [0.15, 0.3], *[[0.2, 0.2]] * 6], rtol=1e-12)
    found, _ = rates(tinycnn, {"swa_lr": 0.2, "anneal_epochs": 0})
    np.testing.assert_allclose(found, [[0.2, 0.2]] * 8, rtol=1e-12)


@pytest.mark.parametrize("attempt, error, message", [
    (lambda: swa_utils.AveragedModel(3), TypeError, "AveragedModel: expected a Module, got int"),
    (lambda: swa_utils.AveragedModel(nn.ReLU(), avg_fn=3), TypeError,
     "AveragedModel: expected avg_fn as a function, got 3"),
    (lambda: swa_utils.AveragedModel(nn.ReLU(), avg_fn=max, multi_avg_fn=max), ValueError,
     "AveragedModel: expected avg_fn or multi_avg_fn, got both"),
    (lambda: swa_utils.AveragedModel(nn.Linear(1, 1)).update_parameters(nn.Linear(2, 1)), ValueError,
     "AveragedModel: expected a model with tensors of shapes [(1, 1), (1,)], got [(1, 2), (1,)]"),
    (lambda: swa_utils.AveragedModel(nn.Linear(1, 1)).update_parameters(3), TypeError,
     "AveragedModel.update_parameters: expected a Module, got int"),
    (lambda: swa_utils.update_bn([], 3), TypeError, "update_bn: expected a Module as model, got int"),
    (lambda: swa_utils.update_bn(3, nn.ReLU()), TypeError,
     "update_bn: expected loader as an iterable of batches, got int"),
    (lambda: swa_utils.get_ema_avg_fn(1.5), ValueError,
     "get_ema_avg_fn: expected decay of at least 0 and of at most 1, got 1.5"),
    (lambda: swa_utils.get_ema_multi_avg_fn(-1), ValueError,
     "get_ema_multi_avg_fn: expected decay of at least 0 and of at most 1, got -1"),
    (lambda: rates(tinycnn, {"swa_lr": -1}), ValueError, "SWALR: expected swa_lr of at least 0, got -1"),
    (lambda: rates(tinycnn, {"swa_lr": [1, 2, 3]}), ValueError, "SWALR: expected 2 swa_lr, one a group, got 3"),
    (lambda: rates(tinycnn, {"swa_lr": 1, "anneal_epochs": -1}), ValueError,
     "SWALR: expected anneal_epochs of at least 0, got -1"),
    (lambda: rates(tinycnn, {"swa_lr": 1, "anneal_strategy": "up"}), ValueError,
     "SWALR: expected anneal_strategy as 'cos' or 'linear', got 'up'"),
])  # fmt: skip
def test_bad_arguments(attempt, error, message):
    with pytest.raises(error) as caught:
        attempt()
    assert str(caught.value) == message


def test_an_average_can_be_copied_and_saved():
    model = swa_utils.AveragedModel(nn.Linear(2, 1), multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5))
    model.update_parameters(nn.Linear(2, 1))
    other = copy.deepcopy(model)
    assert sorted(other.state_dict()) == ["module.bias", "module.weight", "n_averaged"]
    other.load_state_dict(model.state_dict())
