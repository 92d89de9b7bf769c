"""Training steps recorded as CUDA graphs: what they compute, what they keep their hands off, when they give up."""

import gc
import os
import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn import backend, nn, optim, tensor
from tinycnn.models import LeNet5
from tinycnn.nn.functional import cross_entropy

pytestmark = pytest.mark.gpu


def batches(count, size=4, image_size=16, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        images = tensor(rng.standard_normal((size, 1, image_size, image_size)).astype(np.float32), device="gpu")
        yield images, tensor(rng.integers(0, 10, size), device="gpu")


class Training:
    """A small net with everything that has state: dropout, batch normalisation, an optimizer, a schedule."""

    def __init__(self, optimizer="SGD", captured=False, scaled=False, dtype=None, **options):
        tinycnn.manual_seed(3)
        self.model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(54, 10),
        ).to("gpu")  # fmt: skip
        self.optimizer = getattr(optim, optimizer)(self.model.parameters(), **options)
        self.scaler = tinycnn.amp.GradScaler(init_scale=1024.0, growth_interval=3, enabled=scaled)
        self.scaled, self.dtype = scaled, dtype
        self.step = tinycnn.cuda.capture(self.eager_step) if captured else self.eager_step

    def eager_step(self, images, targets):
        self.optimizer.zero_grad()
        with tinycnn.autocast("cuda", self.dtype, enabled=self.scaled or self.dtype is not None):
            loss = cross_entropy(self.model(images), targets, label_smoothing=0.1)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def run(self, steps, **of_batches):
        tinycnn.manual_seed(4)  # for dropout: two trainings draw from one random state
        scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        losses = []
        for images, targets in batches(steps, **of_batches):
            losses.append(self.step(images, targets).item())
            scheduler.step()
        return losses

    def weights(self):
        return {name: value.cpu().numpy() for name, value in self.model.state_dict().items()}


def assert_same_training(a, b, **how):
    assert a.run(**how) == b.run(**how)
    weights = b.weights()
    for name, value in a.weights().items():
        np.testing.assert_array_equal(value, weights[name], err_msg=name)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.1}), ("Adam", {"lr": 0.01, "amsgrad": True}),
     ("RMSprop", {"lr": 0.01, "momentum": 0.5}), ("Adagrad", {"lr": 0.05, "lr_decay": 0.1})],
    ids=["SGD", "Adam", "RMSprop", "Adagrad"],
)  # fmt: skip
def test_captured_steps_equal_eager_ones(optimizer, options):
    captured = Training(optimizer, captured=True, **options)
    assert_same_training(captured, Training(optimizer, **options), steps=12)
    assert captured.step.captured


def test_captured_equals_eager_over_fifty_steps():
    options = {"lr": 0.05, "momentum": 0.9}
    assert_same_training(Training(captured=True, **options), Training(**options), steps=50)


def test_a_scaled_step_can_be_captured():
    options = {"lr": 0.05, "momentum": 0.9, "scaled": True}
    captured, eager = Training(captured=True, **options), Training(**options)
    assert_same_training(captured, eager, steps=12)
    assert captured.step.captured
    assert captured.scaler.get_scale() == eager.scaler.get_scale() > 1024


def test_a_step_in_bfloat16_can_be_captured():
    """With its casts of parameters, which are made again in every replay."""
    options = {"lr": 0.05, "momentum": 0.9, "dtype": "bfloat16"}
    captured, eager = Training(captured=True, **options), Training(**options)
    assert_same_training(captured, eager, steps=12)
    assert captured.step.captured


def test_lenet():
    def trained(captured):
        tinycnn.manual_seed(0)
        model = LeNet5(image_size=28).to("gpu")
        optimizer = optim.AdamW(model.parameters(), lr=1e-3)

        def step(images, targets):
            optimizer.zero_grad()
            loss = cross_entropy(model(images), targets)
            loss.backward()
            optimizer.step()
            return loss

        run = tinycnn.cuda.capture(step) if captured else step
        return [run(*batch).item() for batch in batches(6, image_size=28)]

    assert trained(True) == trained(False)


def test_replays_do_not_touch_memory_in_use_elsewhere():
    """Neither in the default stream nor in that of the recording, where CuPy gives out again what was freed there."""
    training = Training(captured=True, lr=0.05)
    training.run(5)
    sizes = [n for n in (1, 10, 100, 1000, 10_000, 100_000) for _ in range(20)]
    taken = [tinycnn.full((n,), 7.0, device="gpu") for n in sizes]
    with training.step._own_stream():
        taken += [tinycnn.full((n,), 7.0, device="gpu") for n in sizes]
    tinycnn.cuda.synchronize()  # the default stream, which reads them below, does not wait for that of the recording
    training.run(3)
    assert all((x == 7.0).all() for x in taken)


def test_what_is_freed_elsewhere_does_not_disturb_replays():
    a, b = Training(captured=True, lr=0.05), Training(lr=0.05)
    for training in (a, b):
        training.run(4)
    tinycnn.cuda.empty_cache()
    for n in (10, 1000, 100_000):
        tinycnn.full((n,), float("nan"), device="gpu")
    assert_same_training(a, b, steps=4)


def test_another_batch_size_has_a_recording_of_its_own():
    a, b = Training(captured=True, lr=0.05), Training(lr=0.05)
    for size in (4, 3, 4, 3):
        assert_same_training(a, b, steps=4, size=size)
    assert len(a.step._recordings) == 2


# The emulator takes its time.
MANY_STEPS = 60 if os.environ.get("TINYCNN_EMULATE_GPU") == "1" else 1000


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
def test_memory_does_not_grow(captured):
    training = Training("Adam", captured=captured, lr=0.001)
    training.run(5)
    gc.collect()  # what other tests left
    before = tinycnn.cuda.memory_allocated(), tinycnn.cuda.memory_reserved()
    training.run(MANY_STEPS)
    assert (tinycnn.cuda.memory_allocated(), tinycnn.cuda.memory_reserved()) == before


def test_two_trainings_are_the_same_bit_for_bit():
    assert_same_training(Training("Adam", lr=0.01), Training("Adam", lr=0.01), steps=5)


def fallback(step, *arguments, match):
    captured = tinycnn.cuda.capture(step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [captured(*arguments) for _ in range(5)]
    assert not captured.captured
    (notice,) = [str(warning.message) for warning in caught]
    assert match in notice
    assert "\n" not in notice
    return results


def test_a_step_that_waits_runs_eagerly_with_one_notice():
    x = tensor(np.ones(3, np.float32), device="gpu")
    results = fallback(lambda x: (x * 2).sum().item(), x, match="captur")
    assert results == [6.0] * 5
    assert (x + 1).sum().item() == 6.0  # the GPU is as it was


def test_arguments_on_the_cpu_run_eagerly():
    results = fallback(lambda x: x * 2, tensor(np.ones(3, np.float32)), match="expected all arguments on one GPU")
    assert (results[-1] == 2).all()


def test_a_copy_from_the_host_is_refused_before_it_is_recorded():
    x = tinycnn.ones(3, device="gpu")
    fallback(lambda x: x + tensor(np.ones(3, np.float32), device="gpu"), x, match="a copy from the host cannot be")
    step = tinycnn.cuda.capture(lambda x: x.maximum(2.0))  # a number is not copied, a kernel is given it
    assert [step(x).tolist() for _ in range(4)] == [[2.0] * 3] * 4
    assert step.captured


@pytest.mark.parametrize(
    "layer",
    [nn.AdaptiveAvgPool2d((3, 2)), nn.AdaptiveMaxPool2d((3, 2), return_indices=True),
     nn.MaxPool2d(2, return_indices=True), nn.AvgPool2d(3, padding=1, count_include_pad=False),
     nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_with_constants_can_be_captured(layer):
    def step(x):
        result = layer(x)
        return result if isinstance(result, tuple) else (result,)

    layer = layer.gpu()
    captured = tinycnn.cuda.capture(step)
    for images, _ in batches(4, image_size=7):
        for found, expected in zip(captured(images), step(images), strict=True):
            np.testing.assert_array_equal(found.detach().cpu().numpy(), expected.detach().cpu().numpy())
    assert captured.captured


@pytest.mark.parametrize("loss", [nn.NLLLoss(), nn.NLLLoss(weight=tinycnn.ones(10) * 2), nn.BCELoss()])
def test_losses_that_look_at_their_input_on_a_cpu_can_be_captured(loss):
    is_binary = isinstance(loss, nn.BCELoss)
    loss = loss.gpu()

    def step(x, target):
        return loss(x.softmax(1) if is_binary else x.log_softmax(1), target)

    captured = tinycnn.cuda.capture(step)
    rng = np.random.default_rng(0)
    for _ in range(4):
        x = tinycnn.tensor(rng.standard_normal((5, 10), np.float32), device="gpu")
        target = rng.random((5, 10), np.float32) if is_binary else rng.integers(0, 10, 5)
        target = tinycnn.tensor(target, device="gpu")
        assert captured(x, target).item() == step(x, target).item()
    assert captured.captured


def test_many_tensors_are_joined_in_a_captured_step():
    step = tinycnn.cuda.capture(lambda x: tinycnn.cat([x * i for i in range(20)], 1))
    for i in range(4):
        x = tinycnn.full((2, 3), float(i), device="gpu")
        expected = np.repeat(np.arange(20.0) * i, 3)
        np.testing.assert_array_equal(step(x).cpu().numpy(), [expected, expected])
    assert step.captured


def test_a_replay_where_another_gpu_is_the_current_one():
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    step = tinycnn.cuda.capture(lambda x: x * 2)
    for index in (0, 1):
        x = tinycnn.ones(3, device=f"cuda:{index}")
        for current in (0, 1, 0, 1):
            with cupy.cuda.Device(current):
                y = step(x)
            assert (y.device, y.tolist()) == (x.device, [2.0] * 3)
    assert len(step._recordings) == 2


def test_a_recording_does_not_give_back_memory_that_it_works_in():
    """Where memory is short: CuPy's pool would, and record the rest of the step in what is left."""
    if os.environ.get("TINYCNN_EMULATE_GPU") != "1":
        pytest.skip("only the emulator's memory can be made short")
    import cupy

    from tests import emulator

    def step(x):
        y = x.repeat(1000)  # its memory is free, and part of the recorded work, when z is too large
        total = y.sum()
        del y
        z = x.repeat(1500)
        return total + z.sum()

    x = tinycnn.ones(1000, device="gpu")
    captured = tinycnn.cuda.capture(step)
    for _ in range(2):
        captured(x)
    tinycnn.cuda.empty_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            free, total = cupy.cuda.runtime.memGetInfo()
            emulator.limit_memory(total - free + 9_000_000)
            results = [captured(x).item() for _ in range(3)]
        finally:
            emulator.limit_memory(None)
    assert results == [2_500_000.0] * 3
    assert "out of memory" in captured.reason


def test_what_a_step_took_before_it_was_recorded_is_given_back():
    tinycnn.cuda.empty_cache()
    x = tinycnn.ones(1_000_000, device="gpu")
    step = tinycnn.cuda.capture(lambda x: x.repeat(10).sum())
    step(x)
    before = tinycnn.cuda.memory_reserved()
    step(x)
    assert tinycnn.cuda.memory_reserved() == before
    step(x)
    assert step.captured
    assert tinycnn.cuda.memory_reserved() <= before - 35_000_000  # 40 MB, but for a copy of x


def test_errors_of_the_step_are_the_user_s():
    captured = tinycnn.cuda.capture(lambda x, y: x @ y)
    a, b = (tinycnn.ones(2, 3, device="gpu") for _ in range(2))
    with pytest.raises(ValueError, match="matmul"):
        captured(a, b)


def test_a_flag_that_changes_is_refused():
    training = Training("SGD", captured=True, lr=0.05, momentum=0.9)
    training.run(4)
    training.optimizer.param_groups[0]["nesterov"] = True
    with pytest.raises(RuntimeError, match="record it anew"):
        training.run(1)


def test_manual_seed_reaches_a_recorded_dropout():
    x = tinycnn.ones(100, device="gpu")
    step = tinycnn.cuda.capture(lambda x: nn.functional.dropout(x, 0.5))
    for _ in range(4):
        step(x)
    results = []
    for seed in (1, 1, 2):
        tinycnn.manual_seed(seed)
        results.append(step(x).cpu().numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    assert (step(x).cpu().numpy() != results[2]).any()


@pytest.mark.parametrize(("arguments", "message"), [((3,), "a function"), ((len, 0), "at least 1")])
def test_wrong_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        tinycnn.cuda.capture(*arguments)


def test_memory_figures():
    before = tinycnn.cuda.memory_allocated()
    x = tinycnn.zeros(1000, device="gpu")
    assert before + 4000 <= tinycnn.cuda.memory_allocated() <= tinycnn.cuda.memory_reserved()
    del x
    assert tinycnn.cuda.memory_allocated() == before
    tinycnn.cuda.synchronize()
    assert tinycnn.cuda.is_available()
    assert tinycnn.cuda.device_count() >= 1
    with pytest.raises(ValueError, match="expected a GPU, got cpu"):
        tinycnn.cuda.synchronize("cpu")
    assert backend.device("auto") == "cuda:0"


def test_a_replay_is_a_change_of_everything_it_writes():
    weight = tensor(np.linspace(0.5, 1.5, 6), device="gpu", requires_grad=True)
    counter = tinycnn.zeros(6, dtype="float64", device="gpu")
    optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)

    def step(x):
        optimizer.zero_grad()
        hidden = (weight * x).exp()
        hidden.sum().backward()
        with tinycnn.no_grad():
            counter.add_(1.0)
        optimizer.step()
        return {"hidden": [hidden.detach()]}

    captured = tinycnn.cuda.capture(step)
    x = tensor(np.linspace(-1, 1, 6), device="gpu")
    for _ in range(4):
        result = captured(x)
    assert captured.captured
    for written in (weight, weight.grad, counter, result["hidden"][0]):
        needs_it = (written.detach() * weight if written is not weight else weight * weight).sum()
        captured(x)
        with pytest.raises(RuntimeError, match="changed in place"):
            needs_it.backward(inputs=[weight])
        (written.detach() * 2.0 + (weight * weight)).sum().backward(inputs=[weight])  # nothing came in between
