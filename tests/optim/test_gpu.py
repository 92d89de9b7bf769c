"""On a GPU a step is a few kernels for a whole group: equal to the CPU's steps, without waiting, and replayable."""

import copy
import importlib
import itertools
import os

import numpy as np
import pytest

import tinycnn
from tests import emulator
from tests.optim.rules import RULES
from tinycnn import Tensor, backend, optim
from tinycnn.autograd import wrap
from tinycnn.backend.recording import Recorded

pytestmark = pytest.mark.gpu

EMULATED = os.environ.get("TINYCNN_EMULATE_GPU") == "1"
SHAPES = [(), (0,), (1,), (1024,), (1025,), (3, 0, 2), (3, 4), (80, 70), (2, 3, 2, 4), (2, 1, 5, 1, 3)]
TOLERANCE = {"float64": 1e-12, "float32": 1e-6, "float16": 4e-3}


@pytest.fixture
def cupy():
    return importlib.import_module("cupy")


def combinations(**choices):
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


DECAY = {"weight_decay": [0, 0.1], "maximize": [False, True]}
MOMENTA = [
    {"momentum": 0},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
]
CASES = [
    *[("SGD", {**momentum, **rest}) for momentum in MOMENTA for rest in combinations(**DECAY)],
    *[("SGD", {**momentum, "weight_decay": 0.1, "decoupled_weight_decay": True}) for momentum in MOMENTA],
    *[("Adam", options) for options in combinations(amsgrad=[False, True], **DECAY)],
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    *[("AdamW", options) for options in combinations(amsgrad=[False, True], **DECAY)],
    *[("RMSprop", options) for options in combinations(momentum=[0, 0.9], centered=[False, True], **DECAY)],
    *[("Adadelta", options) for options in combinations(rho=[0.9], **DECAY)],
    *[("Adagrad", options) for options in combinations(lr_decay=[0, 0.1], initial_accumulator_value=[0, 0.5], **DECAY)],
    *[("Adamax", options) for options in combinations(betas=[(0.9, 0.999), (0.5, 0.6)], **DECAY)],
    *[("NAdam", options) for options in combinations(decoupled_weight_decay=[False, True], **DECAY)],
    *[("RAdam", options) for options in combinations(decoupled_weight_decay=[False, True], **DECAY)],
    *[("ASGD", options) for options in combinations(t0=[1e6, 2.5], lambd=[1e-4, 0.1], **DECAY)],
    *[("Rprop", options) for options in combinations(step_sizes=[(1e-6, 50), (0.008, 0.011)], maximize=[False, True])],
    *[("Lion", options) for options in combinations(betas=[(0.9, 0.99), (0.5, 0.6)], **DECAY)],
    *[("Muon", options) for options in combinations(nesterov=[False, True], momentum=[0, 0.9], weight_decay=[0, 0.1])],
    *[("Muon", options) for options in combinations(adjust_lr_fn=["original", "match_rms_adamw"], ns_steps=[0, 3])],
    ("Muon", {"ns_coefficients": (2.0, -1.5, 0.5), "eps": 10.0}),
]
EVERY = {  # of each optimizer, the options with which it has most to do
    "SGD": {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    "Adam": {"amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"amsgrad": True, "weight_decay": 0.1},
    "RMSprop": {"momentum": 0.9, "centered": True, "weight_decay": 0.1},
    "Adagrad": {"lr_decay": 0.1, "weight_decay": 0.1},
    "Adadelta": {"weight_decay": 0.1},
    "Adamax": {"weight_decay": 0.1},
    "NAdam": {"weight_decay": 0.1, "momentum_decay": 0.1, "decoupled_weight_decay": True},
    "RAdam": {"weight_decay": 0.1, "betas": (0.7, 0.9), "decoupled_weight_decay": True},
    "ASGD": {"weight_decay": 0.1, "lambd": 0.1, "t0": 2.5},
    "Rprop": {"etas": (0.4, 1.3), "step_sizes": (0.003, 0.02)},
    "Lion": {"betas": (0.8, 0.99), "weight_decay": 0.1},  # with less momentum than this, float16 would turn some signs
    "Muon": {"weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"},
}
UNCOUNTED = ("RMSprop", "Adadelta", "Lion", "Muon")  # whose steps do not depend on how many there were
WITHOUT_EPS = ("SGD", "ASGD", "Rprop", "Lion")
each_optimizer = pytest.mark.parametrize("name", list(EVERY))
each_of_one_kernel = pytest.mark.parametrize("name", [name for name in EVERY if name != "Muon"])


# --- the same parameters and gradients on both devices --------------------------------------------------------

LAYOUTS = {  # ways for the elements of an array to lie in memory
    "C": lambda xp, x: x.copy(),
    "Fortran": lambda xp, x: xp.asfortranarray(x) if x.ndim else x.copy(),
    "inner axes swapped": lambda xp, x: xp.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if x.ndim > 1 else x,
    "gaps": lambda xp, x: xp.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x.copy(),
    "backwards": lambda xp, x: x[::-1].copy()[::-1] if x.ndim else x.copy(),
}


def laid_out(array, layout, device):
    xp = np if device == "cpu" else importlib.import_module("cupy")
    return wrap(LAYOUTS[layout](xp, xp.asarray(array)))


class Pair:
    """Parameters on the CPU and on the GPU, alike in every way, of those shapes that an optimizer takes."""

    def __init__(self, name="SGD", seed=0, shapes=SHAPES, dtype="float64", layouts=tuple(LAYOUTS)):
        self.rng, self.layouts, self.dtype = np.random.default_rng(seed), layouts, dtype
        self.cpu, self.gpu = [], []
        for shape in filter(RULES[name].takes, shapes):
            values, layout = self.normal(shape), self.rng.choice(layouts)
            for device, params in ("cpu", self.cpu), ("gpu", self.gpu):
                params.append(laid_out(values, layout, device).requires_grad_())

    def normal(self, shape):
        x = self.rng.standard_normal(shape)
        if self.dtype == "float16":  # whose squares, times 1 - beta, would be too small for it
            x += np.copysign(0.5, x)
        return np.asarray(x, self.dtype)

    def new_gradients(self, missing=0.2):
        for cpu, gpu in zip(self.cpu, self.gpu):
            gradient, layout = self.normal(cpu.shape), self.rng.choice(self.layouts)
            if self.rng.random() < missing:
                cpu.grad = gpu.grad = None
            else:
                cpu.grad, gpu.grad = laid_out(gradient, layout, "cpu"), laid_out(gradient, layout, "gpu")

    def assert_equal(self, states=()):
        tolerance = TOLERANCE[self.dtype]
        for i, (cpu, gpu) in enumerate(zip(self.cpu, self.gpu)):
            assert gpu.dtype == cpu.dtype == self.dtype
            pairs = [(cpu, gpu)]
            if states:
                ours, theirs = (state.get(param, {}) for state, param in zip(states, (cpu, gpu)))
                assert {*ours} == {*theirs} - ({"step"} - {*ours})
                pairs += [(ours[name], theirs[name]) for name in ours]
            for a, b in pairs:
                expected = np.asarray(a, np.float64) if not isinstance(a, Tensor) else a.detach().numpy()
                scale = np.abs(expected).max(initial=1, where=np.isfinite(expected))
                np.testing.assert_allclose(
                    b.cpu().detach().numpy(), expected, rtol=tolerance, atol=tolerance * scale, err_msg=f"parameter {i}"
                )


def pair_of_optimizers(pair, name, options, lr=0.01):
    return [getattr(optim, name)(params, lr=lr, **options) for params in (pair.cpu, pair.gpu)]


def in_bits(tensors):
    return [tensor.cpu().detach().numpy().tobytes() for tensor in tensors]


def in_bits_of_state(optimizer, params):
    return [in_bits(map(tinycnn.as_tensor, optimizer.state.get(param, {}).values())) for param in params]


# --- steps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, options", CASES, ids=[f"{name}-{options}" for name, options in CASES])
def test_steps_equal_the_cpus(name, options):
    pair = Pair(name)
    optimizers = pair_of_optimizers(pair, name, options)
    for _ in range(8):  # RAdam divides by the root from the sixth on
        pair.new_gradients()
        for optimizer in optimizers:
            optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_dtypes(name, dtype):
    pair = Pair(name, dtype=dtype)
    optimizers = pair_of_optimizers(pair, name, {**EVERY[name], **({} if name in WITHOUT_EPS else {"eps": 1e-3})})
    for _ in range(3):
        pair.new_gradients(missing=0)
        for optimizer in optimizers:
            optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
def test_parameters_of_several_dtypes_in_one_group(name):
    pairs = [Pair(name, seed, dtype=dtype) for seed, dtype in enumerate(TOLERANCE)]
    for side in "cpu", "gpu":
        params = [param for both in zip(*(getattr(pair, side) for pair in pairs)) for param in both]
        options = EVERY[name] | ({} if name in WITHOUT_EPS else {"eps": 1e-3})
        optimizer = getattr(optim, name)(params, lr=0.01, **options)
        for pair in pairs:
            pair.rng = np.random.default_rng(1)
        for _ in range(3):
            for pair in pairs:
                pair.new_gradients()
            optimizer.step()
    for pair in pairs:
        pair.assert_equal()


MANY = [
    ([(2, 3, 4), (0,), (17, 33), (), (5,)] * 18, ("C",)),
    ([(2, 3, 4), (0,), (17, 33), (), (5,)] * 18, ("gaps", "Fortran")),
    ([(2, 3, 4, 5)] * 30, ("C", "Fortran")),  # more axes than a launch takes
]


@each_optimizer
@pytest.mark.parametrize("shapes, layouts", MANY, ids=["plain", "other layouts", "axes"])
def test_more_parameters_than_a_launch_takes(name, shapes, layouts):
    pair = Pair(name, shapes=shapes, layouts=layouts)
    optimizers = pair_of_optimizers(pair, name, EVERY[name])
    for _ in range(3):
        pair.new_gradients()
        for optimizer in optimizers:
            optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
def test_gradients_that_repeat_their_memory(name, cupy):
    pair = Pair(name, shapes=[(50, 40), (3, 4)])
    optimizers = pair_of_optimizers(pair, name, EVERY[name])
    for cpu, gpu in zip(pair.cpu, pair.gpu):
        row = pair.normal(cpu.shape[1:])
        cpu.grad = wrap(np.broadcast_to(row, cpu.shape))
        gpu.grad = wrap(cupy.broadcast_to(cupy.asarray(row), cpu.shape))
    for optimizer in optimizers:
        optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
def test_groups_with_options_of_their_own_that_change(name):
    pair = Pair(name)
    optimizers = []
    for params in pair.cpu, pair.gpu:
        groups = [{"params": params[:4]}, {"params": params[4:], "lr": 0.2, "weight_decay": 0.3}]
        optimizers.append(getattr(optim, name)(groups, lr=0.01, **EVERY[name]))
    for i in range(6):
        pair.new_gradients()
        for optimizer in optimizers:
            optimizer.param_groups[i % 2]["lr"] *= 0.7
            optimizer.param_groups[1]["weight_decay"] *= 0.9
            optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


SWITCHED_ON = [
    ("SGD", {"momentum": 0.9, "dampening": 0.3}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Adam", {"amsgrad": True}),
]


@pytest.mark.parametrize("name, later", SWITCHED_ON)
def test_options_switched_on_later(name, later):
    pair = Pair(name)
    optimizers = pair_of_optimizers(pair, name, {})
    for step in range(5):
        pair.new_gradients()
        for optimizer in optimizers:
            if step == 2:
                optimizer.param_groups[0].update(later)
            optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
@pytest.mark.parametrize("plain", [False, True])  # weight decay makes a gradient of a parameter's nan
def test_infinite_and_nan_gradients_and_parameters(name, plain, cupy):
    pair = Pair(name, shapes=[(2, 5)])
    optimizers = pair_of_optimizers(pair, name, {} if plain else EVERY[name])
    values = np.array([[1, np.nan, 2, np.inf, -np.inf], [np.inf, np.nan, -np.inf, 0, -0.0]])
    with np.errstate(all="ignore"):
        for gradient in np.ones((2, 5)), values, np.ones((2, 5)):
            pair.cpu[0].grad, pair.gpu[0].grad = tinycnn.tensor(gradient), tinycnn.tensor(gradient, device="gpu")
            for optimizer in optimizers:
                optimizer.step()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
def test_a_step_does_not_make_the_host_wait(name):
    if not EMULATED:
        pytest.skip("only the emulator counts what the host waits for")
    pair = Pair(name)
    _, optimizer = pair_of_optimizers(pair, name, EVERY[name])
    for _ in range(3):
        pair.new_gradients()
        optimizer.found_inf = tinycnn.tensor(np.float32(0), device="gpu")
        emulator.waits.clear()
        optimizer.param_groups[0]["lr"] *= 0.9
        optimizer.step()
        optim.clip_grad_norm_(pair.gpu, 1.0)
        optim.clip_grad_value_(pair.gpu, 0.1)
        assert emulator.waits == []


def launches(monkeypatch, step):
    """The kernels of ours that `step()` runs, by name."""
    from tinycnn.backend.gpu import launch

    launched, kernel = [], launch.kernel
    with monkeypatch.context() as patch:
        patch.setattr(launch, "kernel", lambda file, name, *of: launched.append(name) or kernel(file, name, *of))
        step()
    return launched


@pytest.mark.parametrize("count", [20, 100])
@each_of_one_kernel
def test_launches_of_a_step(name, count, cupy, monkeypatch):
    """One, for any number of parameters, and one for new options."""
    pair = Pair(name, shapes=[(30, 20)] * count)
    _, optimizer = pair_of_optimizers(pair, name, EVERY[name])
    pair.new_gradients(missing=0)
    optimizer.step()
    its = name.lower().removesuffix("w")
    assert launches(monkeypatch, optimizer.step) == [its]
    optimizer.param_groups[0]["lr"] = 0.5
    assert launches(monkeypatch, optimizer.step) == ["set_numbers", its]


@pytest.mark.parametrize("count", [2, 20, 100])
def test_launches_of_a_step_of_muon(count, cupy, monkeypatch):
    """One for all directions, one for all steps; between them, of kernels of ours, the norm of each matrix."""
    pair = Pair("Muon", shapes=[(30, 20)] * count)
    _, optimizer = pair_of_optimizers(pair, "Muon", {})
    pair.new_gradients(missing=0)
    optimizer.step()
    launched = [name for name in launches(monkeypatch, optimizer.step) if name != "put_parameters"]
    assert launched == ["muon", *["norm_shares", "norm_of_shares"] * count, "sgd"]


@pytest.mark.parametrize("layouts", [("C",), tuple(LAYOUTS)], ids=["alike", "any"])
@each_of_one_kernel
def test_many_parameters(name, layouts, cupy, monkeypatch):
    """More than the arguments of a kernel hold are put into device memory, anew for gradients at other places."""
    pair = Pair(name, shapes=[*SHAPES, (5, 7)] * 9, layouts=layouts)
    both = pair_of_optimizers(pair, name, EVERY[name])
    for _ in range(3):
        pair.new_gradients()
        for optimizer in both:
            optimizer.step()
        pair.assert_equal([optimizer.state for optimizer in both])
    pair.new_gradients(missing=0)
    put = launches(monkeypatch, both[1].step)
    assert put[-1] == name.lower().removesuffix("w")
    assert set(put[:-1]) == {"put_parameters"}
    assert len(put) > 3


def test_many_parameters_in_a_captured_step(cupy):
    """What the graph writes for itself is not what an eager step finds, nor the other way round."""
    pair = Pair(shapes=[(3, 4)] * 90, layouts=("C",), dtype="float32")
    both = pair_of_optimizers(pair, "Adam", {})
    pair.new_gradients(missing=0)

    def step():
        both[1].step()

    captured = tinycnn.cuda.capture(step)
    for call in (captured, captured, step, captured, step, captured, captured):
        both[0].step()
        call()
        pair.assert_equal()
    assert captured.captured


def test_a_graph_that_needs_the_parameter_notices():
    param = tinycnn.tensor([1.0, 2.0], device="gpu", requires_grad=True)
    loss = (param * param).sum()
    param.grad = tinycnn.tensor([1.0, 1.0], device="gpu")
    optim.Adam([param]).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# --- subclasses, devices ------------------------------------------------------------------------------------


class Signs(optim.Optimizer):
    """An optimizer of a user, who knows nothing of kernels."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def _update(self, param, grad, state, options):
        param -= options["lr"] * backend.array_module(param).sign(grad)


class DecaysLess(optim.AdamW):
    def _update(self, param, grad, state, options):
        super()._update(param, grad, state, {**options, "weight_decay": 0.5 * options["weight_decay"]})


@pytest.mark.parametrize("optimizer_class", [Signs, DecaysLess])
def test_an_update_of_the_users_own_runs_on_the_gpu(optimizer_class):
    pair = Pair()
    optimizers = [optimizer_class(params, lr=0.1) for params in (pair.cpu, pair.gpu)]
    for step in range(4):
        pair.new_gradients()
        for optimizer in optimizers:
            for attribute, value in ("found_inf", step == 1), ("grad_scale", 0.5):
                device = "cpu" if optimizer is optimizers[0] else "gpu"
                setattr(optimizer, attribute, tinycnn.tensor(np.float32(value), device=device))
            optimizer.step()
    pair.assert_equal()


def test_parameters_on_several_devices_in_one_group(cupy):
    pair = Pair(shapes=[(3, 4), (5,), (6, 2)])
    separate, together = pair.cpu, [pair.gpu[0], pair.cpu[1].detach().clone().requires_grad_(), pair.gpu[2]]
    if cupy.cuda.runtime.getDeviceCount() > 1:
        together[2] = pair.gpu[2].detach().to("cuda:1").requires_grad_()
    optimizers = [optim.Adam(params, lr=0.1) for params in (separate, together)]
    for step in range(4):
        pair.new_gradients(missing=0)
        for a, b in zip(separate, together):
            b.grad = a.grad.to(b.device)
        for optimizer in optimizers:
            optimizer.found_inf = tinycnn.tensor(np.float32(step == 2))
            optimizer.step()
    for a, b in zip(separate, together):
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-12, atol=1e-13)


def test_a_gradient_on_another_device_is_refused(cupy):
    param = tinycnn.tensor([1.0], device="gpu", requires_grad=True)
    others = ["cpu", "cuda:1"] if cupy.cuda.runtime.getDeviceCount() > 1 else ["cpu"]
    for other in others:
        param.grad = tinycnn.tensor([1.0], device=other)
        with pytest.raises(ValueError, match=f"expected the gradient and .* on cuda:0 there, got an array on {other}"):
            optim.Adam([param]).step()


# --- skipping, scaling --------------------------------------------------------------------------------------


@each_optimizer
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_steps_with_an_infinite_gradient_are_skipped(name, device):
    """Also the first one, after which dampening and bias correction must be those of a first step."""
    pair = Pair(name)
    reference, _ = optimizers = pair_of_optimizers(pair, name, EVERY[name])
    tested = optimizers[1]
    if device == "cpu":
        pair.gpu = copy.deepcopy(pair.cpu)
        tested = getattr(optim, name)(pair.gpu, lr=0.01, **EVERY[name])
    for step in range(6):
        pair.new_gradients(missing=0)
        if device == "cpu":
            for a, b in zip(pair.cpu, pair.gpu):
                b.grad = a.grad
        skipped = step in (0, 1, 4)
        before, state = in_bits(pair.gpu), in_bits_of_state(tested, pair.gpu)
        tested.found_inf = tinycnn.tensor(np.float32(skipped), device=device)
        tested.step()
        assert (in_bits(pair.gpu) == before) == skipped
        if step:  # the first one makes the state, on a GPU
            assert (in_bits_of_state(tested, pair.gpu) == state) == skipped
        if not skipped:
            reference.step()
        if step:
            assert "found_inf" not in str(tested.state_dict())
    pair.assert_equal([optimizer.state for optimizer in (reference, tested)] if device == "gpu" else ())


@each_optimizer
def test_gradients_are_scaled(name):
    pair = Pair(name)
    plain = copy.deepcopy(pair.cpu)
    optimizers = [*pair_of_optimizers(pair, name, EVERY[name]), getattr(optim, name)(plain, lr=0.01, **EVERY[name])]
    for optimizer, device in zip(optimizers, ("cpu", "gpu")):
        optimizer.grad_scale = tinycnn.tensor(np.float32(2**-10), device=device)
    for _ in range(3):
        pair.new_gradients()
        for a, b in zip(pair.cpu, plain):
            b.grad = None if a.grad is None else a.grad * 2**-10
        before = in_bits(param.grad for param in pair.gpu if param.grad is not None)
        for optimizer in optimizers:
            optimizer.step()
        assert in_bits(param.grad for param in pair.gpu if param.grad is not None) == before
    pair.assert_equal([optimizer.state for optimizer in optimizers[:2]])
    pair.cpu = plain
    pair.assert_equal()


# --- saving and loading -------------------------------------------------------------------------------------


@each_optimizer
@pytest.mark.parametrize("way", ["gpu to gpu", "gpu to cpu", "cpu to gpu"])
def test_state_moves_between_devices(name, way):
    source, _, target = way.split()
    pair = Pair(name)
    before = dict(zip(("cpu", "gpu"), pair_of_optimizers(pair, name, EVERY[name])))
    for _ in range(3):
        pair.new_gradients(missing=0)
        for optimizer in before.values():
            optimizer.step()
    saved = copy.deepcopy(before[source].state_dict())
    straight = {"cpu": pair.cpu, "gpu": pair.gpu}[target]
    loaded = copy.deepcopy(straight)
    optimizer = getattr(optim, name)(loaded, lr=3.0)
    optimizer.load_state_dict(saved)
    pair.cpu, pair.gpu = (straight, loaded) if target == "cpu" else (loaded, straight)
    for _ in range(3):
        pair.rng, again = copy.deepcopy(pair.rng), pair.rng
        pair.new_gradients(missing=0)
        for a, b in zip(straight, loaded):
            b.grad = a.grad
        before[target].step()
        optimizer.step()
        pair.rng = again
        pair.new_gradients(missing=0)
    for a, b in zip(straight, loaded):
        assert a.device == b.device
        for x, y in [(a, b), *((before[target].state[a][key], optimizer.state[b][key]) for key in EXPECTED[name])]:
            x, y = (value.cpu().detach().numpy() if isinstance(value, Tensor) else np.array(value) for value in (x, y))
            if source == target:
                assert x.tobytes() == y.tobytes()
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13)
    if target == "gpu" and name not in UNCOUNTED:
        steps = [state["step"] for state in optimizer.state.values()]
        assert {(step.shape, str(step.device), str(step.dtype), step.item()) for step in steps} == {
            ((), "cuda:0", "int64", 6)
        } or name == "SGD"


EXPECTED = {
    "SGD": ["momentum_buffer"],
    "Adam": ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
    "AdamW": ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
    "RMSprop": ["square_avg", "grad_avg", "momentum_buffer"],
    "Adagrad": ["step", "sum"],
    "Adadelta": ["square_avg", "acc_delta"],
    "Adamax": ["step", "exp_avg", "exp_inf"],
    "NAdam": ["step", "mu_product", "exp_avg", "exp_avg_sq"],
    "RAdam": ["step", "exp_avg", "exp_avg_sq"],
    "ASGD": ["step", "eta", "mu", "ax"],
    "Rprop": ["step", "prev", "step_size"],
    "Lion": ["exp_avg"],
    "Muon": ["momentum_buffer"],
}


@each_optimizer
def test_state_of_skipped_steps_moves_to_the_cpu(name):
    """The GPU has made buffers, without knowing that they were never used: what begins, begins with the next step."""
    pair = Pair(name, shapes=[(3, 4)])
    cpu, gpu = pair_of_optimizers(pair, name, EVERY[name])
    pair.new_gradients(missing=0)
    gpu.found_inf = tinycnn.tensor(np.float32(1), device="gpu")
    gpu.step()
    cpu.load_state_dict(gpu.state_dict())
    gpu.found_inf = None
    cpu.param_groups[0]["lr"] = gpu.param_groups[0]["lr"] = 0.015  # that of the first step that counts
    for _ in range(3):
        pair.new_gradients(missing=0)
        cpu.step()
        gpu.step()
    pair.assert_equal([cpu.state, gpu.state])
    gpu.load_state_dict(cpu.state_dict())
    pair.new_gradients(missing=0)
    cpu.step()
    gpu.step()
    pair.assert_equal([cpu.state, gpu.state])


OWN_NUMBERS = [("NAdam", ["mu_product"]), ("ASGD", ["eta", "mu"])]


@pytest.mark.parametrize("name, numbers", OWN_NUMBERS)
def test_numbers_of_a_parameter_are_float64_whatever_it_is(name, numbers):
    """In device memory, one for each parameter; loaded without a loss, also where the parameter is a number itself."""
    params = [tinycnn.tensor(np.full(shape, 2, np.float16), device="gpu").requires_grad_() for shape in ((), (2, 3))]
    optimizer = getattr(optim, name)(params, lr=0.1, **EVERY[name])
    for count in 2, 1, 2:
        for param in params:
            param.grad = None
        for param in params[:count]:
            param.grad = tinycnn.ones(*param.shape, dtype="float16", device="gpu")
        optimizer.step()
    before = [[optimizer.state[param][number] for number in numbers] for param in params]
    for of_param in before:
        assert {(str(x.dtype), str(x.device), x.shape) for x in of_param} == {("float64", "cuda:0", ())}
    assert [x.item() for x in before[0]] != [x.item() for x in before[1]]  # of three steps and of two
    loaded = getattr(optim, name)(params)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for param, of_param in zip(params, before):
        assert [loaded.state[param][number] for number in numbers] == [x.item() for x in of_param]


@each_optimizer
def test_state_in_another_memory_order_than_the_parameter(name):
    pair = Pair(name, shapes=[(30, 40), (3, 4, 5)], layouts=("C",))
    optimizers = pair_of_optimizers(pair, name, EVERY[name])
    for step in range(4):
        pair.new_gradients(missing=0)
        for optimizer in optimizers:
            optimizer.step()
        for i, value in enumerate(optimizers[1].state[pair.gpu[step % 2]].values()):
            if value.ndim and (step + i) % 2:
                value._array = LAYOUTS["Fortran"](importlib.import_module("cupy"), value._array)
    pair.assert_equal([optimizer.state for optimizer in optimizers])


# --- recorded steps -----------------------------------------------------------------------------------------


class Recording:
    """A step of an optimizer as a CUDA graph."""

    def __init__(self, step):
        cupy = importlib.import_module("cupy")
        self.pool, self.stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
        recorded = Recorded(is_own=lambda array: False)
        self.callbacks = recorded.callbacks
        cupy.cuda.Device().synchronize()
        with self.stream, cupy.cuda.using_allocator(self.pool.malloc), backend.recording(recorded):
            self.stream.begin_capture()
            try:
                step()
            finally:
                self.graph = self.stream.end_capture()

    def replay(self):
        self.stream.wait_event(importlib.import_module("cupy").cuda.get_current_stream().record())
        with self.stream:
            for callback in self.callbacks:
                callback()
            self.graph.launch()
        self.stream.synchronize()


@each_optimizer
def test_a_replayed_step_equals_a_step(name, cupy):
    pair = Pair(name, layouts=("C", "Fortran", "gaps"))
    optimizers = pair_of_optimizers(pair, name, EVERY[name])
    for optimizer, device in zip(optimizers, ("cpu", "gpu")):
        optimizer.found_inf = tinycnn.tensor(np.float32(1), device=device)
        optimizer.grad_scale = tinycnn.tensor(np.float32(0.5), device=device)
    pair.new_gradients(missing=0)
    pair.cpu[3].grad = pair.gpu[3].grad = None
    for optimizer in optimizers:
        optimizer.step()  # skipped: the first step that counts is a replay
    untouched = in_bits(pair.gpu)
    recording = Recording(optimizers[1].step)
    assert in_bits(pair.gpu) == untouched
    for step in range(10):
        for cpu, gpu in zip(pair.cpu, pair.gpu):
            if cpu.grad is not None:
                gradient = pair.normal(cpu.shape)
                cpu.grad._array[...] = gradient
                gpu.grad._array[...] = cupy.asarray(gradient)
        for optimizer in optimizers:
            optimizer.found_inf._array.fill(step in (0, 5))
            optimizer.grad_scale._array.fill(0.5 + step)
            if step % 3 == 0:
                for option in {"lr", "weight_decay"} & {*optimizer.param_groups[0]}:
                    optimizer.param_groups[0][option] *= 0.7
        optimizers[0].step()
        recording.replay()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@each_optimizer
def test_options_between_recording_and_replay(name):
    """The recorded step holds no options: not those of the time of the recording, nor those of eager steps since."""
    pair = Pair(name)
    optimizers = pair_of_optimizers(pair, name, EVERY[name])
    pair.new_gradients(missing=0)

    def steps(lr, recording=None):
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = lr
        optimizers[0].step()
        recording.replay() if recording else optimizers[1].step()

    steps(0.1)
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = 0.2
    recording = Recording(optimizers[1].step)
    steps(0.2, recording)
    steps(0.3, recording)
    steps(0.4)
    steps(0.4, recording)
    steps(0.3, recording)
    pair.assert_equal([optimizer.state for optimizer in optimizers])


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "RAdam"])
def test_weight_decay_is_decoupled_between_replays(name):
    pair = Pair(name)
    optimizers = pair_of_optimizers(pair, name, {"weight_decay": 0.1})
    pair.new_gradients(missing=0)
    for optimizer in optimizers:
        optimizer.step()
    recording = Recording(optimizers[1].step)
    for decoupled in True, False, True:
        for optimizer in optimizers:
            optimizer.param_groups[0]["decoupled_weight_decay"] = decoupled
        optimizers[0].step()
        recording.replay()
    pair.assert_equal([optimizer.state for optimizer in optimizers])


def test_what_cannot_be_recorded():
    pair = Pair(shapes=[(3,)])
    pair.new_gradients(missing=0)
    cpu, gpu = pair_of_optimizers(pair, "Adam", {})
    with pytest.raises(RuntimeError, match="Adam: expected a step before .* of the parameter of shape \\(3,\\)"):
        Recording(gpu.step)
    with pytest.raises(RuntimeError, match="Adam: expected parameters on a GPU.* got parameters on cpu"):
        Recording(cpu.step)
    with pytest.raises(RuntimeError, match="Signs: expected parameters .* a kernel .* got parameters on cuda:0"):
        Recording(Signs(pair.gpu, 0.1).step)
    for optimizer in cpu, gpu:
        optimizer.step()
    gpu.load_state_dict(cpu.state_dict())
    with pytest.raises(RuntimeError, match="expected a step before"):  # the count comes from the host
        Recording(gpu.step)
    for optimizer in cpu, gpu:
        optimizer.step()
    pair.assert_equal([cpu.state, gpu.state])  # nothing is left of what could not be recorded


CONSTANT = [
    ("SGD", {"maximize": True}),
    ("SGD", {"momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("RMSprop", {"centered": True}),
    ("Muon", {"nesterov": False}),
    ("Muon", {"ns_steps": 3}),
    ("Muon", {"adjust_lr_fn": "match_rms_adamw"}),
]


@pytest.mark.parametrize("name, changed", CONSTANT)
def test_options_that_a_recorded_step_takes_for_constant(name, changed):
    pair = Pair(name, shapes=[(3, 1)])
    pair.new_gradients(missing=0)
    _, optimizer = pair_of_optimizers(pair, name, {})
    optimizer.step()
    recording = Recording(optimizer.step)
    recording.replay()
    optimizer.param_groups[0].update(changed)
    optimizer.step()
    with pytest.raises(RuntimeError, match=rf"{name}: expected the flags and buffers of param_groups\[0\] as in"):
        recording.replay()


def test_refresh_without_any_step():
    optimizer = optim.Adam([tinycnn.tensor([1.0], requires_grad=True)])
    optimizer.refresh()
    optimizer.step()
    optimizer.refresh()


# --- clipping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, 0.5, 0, np.inf, -np.inf])
def test_norms_and_clipping_equal_the_cpus(norm_type, dtype):
    pair = Pair(shapes=[shape for shape in SHAPES if 0 not in shape] * 5, dtype=dtype)
    for max_norm in 0.5, 1e9, 0:
        pair.new_gradients()
        norms = [optim.clip_grad_norm_(params, max_norm, norm_type) for params in (pair.cpu, pair.gpu)]
        assert norms[1].dtype == dtype
        assert (norms[1].shape, str(norms[1].device)) == ((), "cuda:0")
        assert norms[1].item() == pytest.approx(norms[0].item(), rel=TOLERANCE[dtype])
        for cpu, gpu in zip(pair.cpu, pair.gpu):
            if cpu.grad is not None:
                np.testing.assert_allclose(gpu.grad.cpu().numpy(), cpu.grad.numpy(), rtol=3 * TOLERANCE[dtype])


@pytest.mark.parametrize("norm_type", [2.0, 1.0, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 3000, 5599])
def test_a_nan_is_not_lost(norm_type, at):
    param = tinycnn.tensor(np.zeros((80, 70)), device="gpu", requires_grad=True)
    param.grad = tinycnn.tensor(np.where(np.arange(5600) == at, np.nan, 1.0).reshape(80, 70), device="gpu")
    assert np.isnan(optim.clip_grad_norm_(param, 1.0, norm_type).item())
    assert np.isnan(param.grad.cpu().numpy()).all()
    with pytest.raises(RuntimeError, match="expected a finite norm of the gradients, got nan"):
        optim.clip_grad_norm_(param, 1.0, norm_type, error_if_nonfinite=True)


def test_norm_of_gradients_of_several_dtypes_and_devices(cupy):
    devices = ["cpu", "cuda:0", "cuda:1"][: 1 + cupy.cuda.runtime.getDeviceCount()]
    params = []
    for device in devices:
        for dtype in np.float32, np.float64:
            params.append(tinycnn.tensor(np.zeros(3, dtype), device=device, requires_grad=True))
            params[-1].grad = tinycnn.tensor(np.full(3, len(params), dtype), device=device)
    expected = np.sqrt(3 * sum((i + 1) ** 2 for i in range(len(params))))
    assert optim.clip_grad_norm_(params, 1.0).item() == pytest.approx(expected, rel=1e-6)
    for i, param in enumerate(params):
        np.testing.assert_allclose(param.grad.tolist(), (i + 1) / expected, rtol=1e-5)


def test_nothing_to_clip(cupy):
    empty = tinycnn.tensor(np.zeros((0, 3)), device="gpu", requires_grad=True)
    assert optim.clip_grad_norm_(empty, 1.0).item() == 0
    empty.grad = tinycnn.tensor(np.zeros((0, 3)), device="gpu")
    assert optim.clip_grad_norm_(empty, 1.0).item() == 0


def test_clipping_is_replayed(cupy):
    pair = Pair(shapes=[(80, 70), (3, 4), (1500,)])
    pair.new_gradients(missing=0)
    norms = []

    def clip():
        norms.append(optim.clip_grad_norm_(pair.gpu, 5.0))
        optim.clip_grad_value_(pair.gpu, 0.1)

    recording = Recording(clip)
    for _ in range(3):
        for cpu, gpu in zip(pair.cpu, pair.gpu):
            gradient = pair.normal(cpu.shape)
            cpu.grad._array[...] = gradient
            gpu.grad._array[...] = cupy.asarray(gradient)
        expected = optim.clip_grad_norm_(pair.cpu, 5.0)
        optim.clip_grad_value_(pair.cpu, 0.1)
        recording.replay()
        assert norms[0].item() == pytest.approx(expected.item(), rel=1e-12)
        for cpu, gpu in zip(pair.cpu, pair.gpu):
            np.testing.assert_allclose(gpu.grad.cpu().numpy(), cpu.grad.numpy(), rtol=1e-12, atol=1e-14)
