"""Training steps recorded as CUDA graphs: what they compute, what they keep their hands off, when they give up."""

import copy
import gc
import os
import re
import sys
import warnings

import numpy as np
import pytest

import tinycnn
from tests.gpu import lib
from tests.operators import CASES
from tests.optim.rules import RULES
from tinycnn import backend, nn, optim, tensor
from tinycnn.backend import devices
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
        params = [param for param in self.model.parameters() if RULES[optimizer].takes(param.shape)]
        self.optimizer = getattr(optim, optimizer)(params, **options)
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
     ("RMSprop", {"lr": 0.01, "momentum": 0.5}), ("Adagrad", {"lr": 0.05, "lr_decay": 0.1}), ("Adadelta", {}),
     ("Adamax", {"lr": 0.01}), ("NAdam", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}),
     ("RAdam", {"lr": 0.01}), ("ASGD", {"lr": 0.05, "lambd": 0.1, "t0": 5}), ("Rprop", {"lr": 0.001}),
     ("Lion", {"lr": 0.001, "weight_decay": 0.1}), ("Muon", {"lr": 0.02})],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_captured_steps_equal_eager_ones(optimizer, options):
    captured = Training(optimizer, captured=True, **options)
    assert_same_training(captured, Training(optimizer, **options), steps=12)
    assert captured.step.captured


def test_captured_equals_eager_over_fifty_steps():
    options = {"lr": 0.05, "momentum": 0.9}
    assert_same_training(Training(captured=True, **options), Training(**options), steps=50)


@pytest.mark.parametrize(
    "optimizer, options", [("SGD", {"momentum": 0.9}), ("NAdam", {}), ("ASGD", {"t0": 2}), ("Muon", {})]
)
def test_a_scaled_step_can_be_captured(optimizer, options):
    options = {"lr": 0.05, "scaled": True, **options}
    captured, eager = Training(optimizer, captured=True, **options), Training(optimizer, **options)
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
    assert sum(map(len, a.step._recordings.values())) == 2


# The emulator takes its time.
MANY_STEPS = 60 if os.environ.get("TINYCNN_EMULATE_GPU") == "1" else 1000


@pytest.mark.slow
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
    assert sum(map(len, step._recordings.values())) == 2


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
    pool = backend.cupy().get_default_memory_pool()
    tinycnn.cuda.empty_cache()
    x = tinycnn.ones(1_000_000, device="gpu")
    step = tinycnn.cuda.capture(lambda x: x.repeat(10).sum())
    step(x)
    before = pool.total_bytes()
    step(x)
    assert pool.total_bytes() == before
    step(x)
    assert step.captured
    assert pool.total_bytes() <= before - 35_000_000  # 40 MB, but for a copy of x


def test_errors_of_the_step_are_the_user_s():
    captured = tinycnn.cuda.capture(lambda x, y: x @ y)
    a, b = (tinycnn.ones(2, 3, device="gpu") for _ in range(2))
    with pytest.raises(ValueError, match="matmul"):
        captured(a, b)


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


# --- what a replay finds and leaves in Python -----------------------------------------------------------------


def small_net():
    tinycnn.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 3)
    ).to("gpu")  # fmt: skip


def samples(rng, size):
    images = tensor(rng.standard_normal((size, 6)).astype(np.float32), device="gpu")
    return images, tensor(rng.integers(0, 3, size), device="gpu")


def assert_same_program(program):
    """`program(capture)` yields lists of tensors, the same ones whether its functions are captured or not; it returns
    the captured functions, none of which may have given up."""
    results, functions = [], ()
    for capture in (lambda step: step, tinycnn.cuda.capture):
        tinycnn.manual_seed(7)
        steps, running = [], program(capture)
        while True:
            try:
                steps.append([x.detach().cpu().numpy().copy() for x in next(running)])
            except StopIteration as end:
                functions = end.value
                break
        results.append(steps)
    for i, (eager, captured) in enumerate(zip(*results, strict=True)):
        for a, b in zip(eager, captured, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"call {i}")
    assert all(function.captured and function.reason is None for function in functions)
    return functions


@pytest.mark.parametrize("set_to_none", [True, False, None], ids=["none", "zeros", "either"])
def test_gradients_are_accumulated_over_recordings(set_to_none):
    """Over calls with batches of several sizes, where they are cleared outside of the step."""

    def program(capture):
        rng = np.random.default_rng(1)
        model = small_net()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        @capture
        def accumulate(images, targets):
            loss = cross_entropy(model(images), targets)
            loss.backward()
            return loss

        update = capture(lambda: optimizer.step())
        for i in range(45):
            loss = accumulate(*samples(rng, rng.choice([4, 3, 2])))
            gradients = [p.grad for p in model.parameters()]
            if i % 3 == 2:
                update()
                optimizer.zero_grad(bool(rng.integers(2)) if set_to_none is None else set_to_none)
            yield [loss, *model.parameters(), *gradients]
        return accumulate, update

    accumulate, update = assert_same_program(program)
    assert update._captures == 1
    assert accumulate._captures == (3 if set_to_none is False else 6) or set_to_none is None  # a size, added to or not


def replace_state(optimizer, model, saved):
    optimizer.load_state_dict(saved)


def forget_state(optimizer, model, saved):
    optimizer.state.clear()


def replace_array(optimizer, model, saved):
    model[0].weight.data = tinycnn.ones(5, 6, device="gpu") * 0.1


def freeze(optimizer, model, saved):
    model[0].weight.requires_grad_(not model[0].weight.requires_grad)


def add_parameters(optimizer, model, saved):
    optimizer.add_param_group({"params": [model.added], "lr": 0.5})


def new_gradients(optimizer, model, saved):
    for p in model.parameters():
        p.grad = tinycnn.ones_like(p)


def move(optimizer, model, saved):
    model.half().float()


def load(optimizer, model, saved):
    model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})


@pytest.mark.parametrize(
    ("change", "captures"),
    [(replace_state, 2), (forget_state, 2), (replace_array, 2), (freeze, 2), (add_parameters, 2), (move, 2),
     (new_gradients, 1), (load, 1)],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_changes_between_replays_reach_the_step(change, captures):
    def program(capture):
        rng = np.random.default_rng(2)
        model = small_net()
        model.added = nn.Parameter(tinycnn.ones(3, device="gpu"))
        optimizer = optim.Adam([p for p in model.parameters() if p is not model.added], lr=0.01)

        @capture
        def step(images, targets):
            optimizer.zero_grad()
            loss = cross_entropy(model(images) + model.added, targets)
            loss.backward()
            optimizer.step()
            return loss

        for i in range(12):
            if i == 2:
                saved = copy.deepcopy(optimizer.state_dict())
            if i == 5:
                change(optimizer, model, saved)
            yield [step(*samples(rng, 4)), *model.parameters(), *model.buffers()]
        return [step]

    (step,) = assert_same_program(program)
    assert step._captures == captures


def test_a_step_in_parts_and_an_evaluation_beside_it():
    """Parts that are captured each, clipping and scaling over two of them, a schedule, a running average."""

    def program(capture):
        rng = np.random.default_rng(3)
        model = small_net()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scaler = tinycnn.amp.GradScaler(init_scale=1024.0, growth_interval=3)
        scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
        average = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.9))

        @capture
        def backward(images, targets):
            optimizer.zero_grad()
            with tinycnn.autocast("cuda", dtype="float16"):
                loss = cross_entropy(model(images), targets)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            return loss

        @capture
        def update():
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()

        @capture
        def predict(images):
            with tinycnn.no_grad():
                return model(images).argmax(1)

        for i in range(15):
            images, targets = samples(rng, 3 if i % 5 == 4 else 4)
            model.train()
            loss = backward(images * (float("inf") if i == 9 else 1.0), targets)
            update()
            scheduler.step()
            average.update_parameters(model)
            model.eval()
            state = [*model.state_dict().values(), *average.parameters(), tensor(scaler.get_scale())]
            yield [loss, predict(images), *state]
        return backward, update, predict

    assert_same_program(program)


def test_arguments_are_the_caller_s():
    """Gradients of arguments, arguments that the step changes, containers, keywords."""

    def program(capture):
        rng = np.random.default_rng(4)
        total = tinycnn.zeros(3, device="gpu")

        @capture
        def step(inputs, scale=1.0, more=()):
            loss = (inputs["x"] * more[0] * scale).sum()
            loss.backward()
            with tinycnn.no_grad():
                more[1].add_(1.0)
            return {"loss": loss, "doubled": [more[1] * 2]}

        for i in range(24):
            x, y = (tensor(rng.standard_normal(3), device="gpu") for _ in range(2))
            x.requires_grad_()
            if i % 3 == 2:
                x.grad = tinycnn.ones_like(x)
            result = step({"x": x}, scale=float(i % 2), more=[y, total])
            yield [result["loss"], *result["doubled"], x.grad, total]
        return [step]

    (step,) = assert_same_program(program)
    assert step._captures == 4  # two scales, a gradient there or not


@pytest.mark.parametrize(
    "values", [(0.0, -0.0), (1, 1.0, True), (float("nan"), 0.5), (np.float32("nan"), np.float64("nan")), ("a", b"a"),
               ([1], (1,), [1.0]), ({"a": 1}, {"a": 2}, {"b": 1}), (complex(0, 0.0), complex(0, -0.0))],
    ids=repr,
)  # fmt: skip
def test_other_values_are_captured_anew_and_equal_ones_are_not(values):
    step = tinycnn.cuda.capture(lambda x, value: x * 2, warmup=1)
    x = tinycnn.ones(3, device="gpu")
    for _ in range(3):
        for value in values:
            step(x, copy.deepcopy(value))
    assert step._captures == len(values)


@pytest.mark.parametrize("argument", [{1, 2}, np.ones(3), [bytearray(b"a")]], ids=lambda x: type(x).__name__)
def test_arguments_that_may_change_unseen_run_eagerly(argument):
    x = tinycnn.ones(3, device="gpu")
    fallback(lambda x, argument: x * 2, x, argument, match="expected arguments that are tensors, hashable, or lists")


def test_methods_and_steps_of_steps():
    class Scaled:
        def __init__(self, factor):
            self.factor = factor

        @tinycnn.cuda.capture
        def run(self, x):
            """x, scaled."""
            return x * self.factor

    a, b, x = Scaled(2.0), Scaled(3.0), tinycnn.ones(3, device="gpu")
    both = tinycnn.cuda.capture(lambda x: a.run(x) + b.run(x))
    for _ in range(4):
        assert (a.run(x).tolist(), b.run(x).tolist(), both(x).tolist()) == ([2.0] * 3, [3.0] * 3, [5.0] * 3)
    assert Scaled.run.captured
    assert both.captured
    assert (Scaled.run.__name__, Scaled.run.__doc__) == ("run", "x, scaled.")


def test_grad_mode_and_precision_are_part_of_the_capture():
    w = tinycnn.ones(3, device="gpu", requires_grad=True)
    step = tinycnn.cuda.capture(lambda x: x * w)
    x = tinycnn.ones(3, device="gpu")
    for _ in range(4):
        assert step(x).requires_grad
        with tinycnn.no_grad():
            assert not step(x).requires_grad


def test_the_graph_of_a_result_is_not_that_of_a_replay():
    w = tinycnn.ones(3, device="gpu", requires_grad=True)
    step = tinycnn.cuda.capture(lambda x: (x * w).exp())
    x = tinycnn.ones(3, device="gpu")
    for _ in range(2):
        step(x).sum().backward()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="of a captured step: call backward\\(\\) in the step"):
            step(x).sum().backward()


def test_what_a_step_keeps_elsewhere_is_changed_by_a_replay():
    kept = {}
    w = tinycnn.ones(3, device="gpu", requires_grad=True)

    def step(x):
        kept["hidden"] = (x * 2).detach()

    captured = tinycnn.cuda.capture(step)
    x = tinycnn.ones(3, device="gpu")
    for _ in range(4):
        captured(x)
    y = (kept["hidden"] * w).sum()
    captured(x)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_capture_leaves_nothing(error):
    model = small_net()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scaler = tinycnn.amp.GradScaler()
    fails = []

    def step(images, targets):
        loss = cross_entropy(model(images), targets)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if fails:
            raise fails.pop()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss

    captured = tinycnn.cuda.capture(step)
    batch = samples(np.random.default_rng(0), 4)
    for _ in range(2):
        captured(*batch)
    before = [x.cpu().numpy() for x in model.state_dict().values()]
    fails.append(error("stop"))
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            captured(*batch)
        assert all(p.grad is None for p in model.parameters())
        for x, y in zip(model.state_dict().values(), before, strict=True):
            np.testing.assert_array_equal(x.cpu().numpy(), y)
        captured(*batch)
        assert captured.captured
    else:
        with pytest.warns(RuntimeWarning, match="the step runs eagerly: ValueError: stop"):
            captured(*batch)  # runs again, eagerly: nothing says that it has unscaled before
        assert any((x.cpu().numpy() != y).any() for x, y in zip(model.state_dict().values(), before, strict=True))


@pytest.mark.parametrize("how", ["data", "state", "scheduler", "argument"])
def test_steps_that_no_replay_would_repeat_run_eagerly(how):
    model = small_net()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
    x = tinycnn.ones(4, 6, device="gpu", requires_grad=True)

    def step(x):
        if how == "data":
            model[0].weight.data = model[0].weight.data * 0.9
        model(x).sum().backward()
        optimizer.step()
        if how == "state":
            optimizer.load_state_dict(optimizer.state_dict())
        if how == "scheduler":
            scheduler.step()
        return x

    matches = {"data": "replaces the array", "state": "replaces what it has used|expected a step before",
               "scheduler": "StepLR.step: cannot be part", "argument": "were not computed from others"}  # fmt: skip
    captured = tinycnn.cuda.capture(step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            captured(x * 1.0 if how == "argument" else x)
    (notice,) = [str(warning.message) for warning in caught]
    assert re.search(matches[how], notice), notice
    if how == "argument":
        assert x.grad is not None


ONE_OF_EACH = {case.name.split("/")[0]: case for case in CASES if case.samplers}.values()


@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.name)
def test_a_graph_keeps_what_it_reads(case):
    """Every operator, of tensors that nothing else keeps: their memory is given to others, and the graph replayed."""
    inputs = [tensor(array, device="gpu") for array in case.inputs()]
    leaves = [x.requires_grad_() for x in inputs if x.is_floating_point() and case.differentiable]

    def step():
        outputs = case.run(lib, inputs)
        kept = [y for y in outputs if y.requires_grad]
        found = [y.detach().clone() for y in outputs]
        if kept:
            upstream = [tinycnn.ones_like(y) for y in kept]
            found += tinycnn.autograd.grad(kept, leaves, upstream, allow_unused=True)
        return [x for x in found if x is not None]

    captured = tinycnn.cuda.capture(step, warmup=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            results = captured()
    if not captured.captured:
        pytest.skip(captured.reason)
    before = [x.cpu().numpy() for x in results]
    sizes = {max(1, x.nbytes) for x in inputs}
    inputs.clear()
    leaves.clear()
    taken = [tinycnn.full((n,), 7, dtype="uint8", device="gpu") for n in sizes for _ in range(8)]
    ((recording,),) = captured._recordings.values()
    for found, expected in zip(recording.replay([]), before, strict=True):
        np.testing.assert_array_equal(found.cpu().numpy(), expected)
    assert all((x == 7).all() for x in taken)


# --- memory ---------------------------------------------------------------------------------------------------


def step_with_temporaries():
    weight = tinycnn.ones(50, 50, device="gpu", requires_grad=True)

    @tinycnn.cuda.capture
    def step(x):
        weight.grad = None
        for _ in range(4):
            x = (x @ weight * 0.01).tanh()
        loss = x.sum()
        loss.backward()
        return loss

    return step


def test_recordings_of_a_step_share_memory():
    step_with_temporaries()(tinycnn.ones(2, 50, device="gpu"))  # from now on there are workspaces
    gc.collect()
    tinycnn.cuda.empty_cache()
    before = tinycnn.cuda.memory_reserved()
    step = step_with_temporaries()
    held, results = [tinycnn.cuda.memory_reserved()], []
    for size in (2000, 1000, 500):
        x = tinycnn.ones(size, 50, device="gpu")
        results += [step(x) for _ in range(3)]
        tinycnn.cuda.empty_cache()
        held.append(tinycnn.cuda.memory_reserved())
    assert held[1] > held[0] + 4 * 2000 * 50 * 4
    assert held[3] <= held[1] + 150_000 + 1500 * 50 * 4  # what outlives replays, and the arguments
    values = [step(tinycnn.ones(size, 50, device="gpu")).item() for size in (500, 2000, 1000)]
    again = [step(tinycnn.ones(size, 50, device="gpu")) for size in (500, 2000, 1000)]
    assert [x.item() for x in again] == values  # the result of one is not overwritten by another
    del step, results, again, x
    gc.collect()
    tinycnn.cuda.empty_cache()
    assert tinycnn.cuda.memory_reserved() <= before + 50_000


def test_what_a_step_has_left_is_its_own_after_it_was_freed():
    """What a recording wrote outside of its results is written by each replay, whether anybody holds it or not."""
    kept = {}

    @tinycnn.cuda.capture
    def step(x):
        kept[len(x)] = x.repeat(1000) + 1
        return kept[len(x)].sum()

    def call(size):
        return step(tinycnn.full((size,), float(size), device="gpu"))

    for size in (3, 2):
        for _ in range(3):
            call(size)
    kept.clear()
    for _ in range(3):
        call(4)
    for size in (3, 2):
        call(size)
    assert (kept[4] == 5).all()


def test_peaks():
    cuda = tinycnn.cuda
    cuda.reset_peak_memory_stats()
    start = cuda.memory_allocated()
    x = tinycnn.zeros(1_000_000, device="gpu")
    y = tinycnn.zeros(500_000, device="gpu")
    del x
    z = tinycnn.zeros(10, device="gpu")
    assert cuda.memory_allocated() == start + 2_000_384 + 512  # in units of 512 bytes
    assert cuda.max_memory_allocated() == start + 4_000_256 + 2_000_384
    assert cuda.max_memory_reserved() >= cuda.max_memory_allocated()
    assert cuda.memory_stats() == {
        "allocated_bytes.all.current": cuda.memory_allocated(), "allocated_bytes.all.peak": cuda.max_memory_allocated(),
        "reserved_bytes.all.current": cuda.memory_reserved(), "reserved_bytes.all.peak": cuda.max_memory_reserved(),
    }  # fmt: skip
    cuda.reset_peak_memory_stats()
    assert cuda.max_memory_allocated() == cuda.memory_allocated()
    del y, z
    assert cuda.max_memory_allocated() > cuda.memory_allocated()
    with pytest.raises(ValueError, match="max_memory_allocated: expected a GPU, got cpu"):
        cuda.max_memory_allocated("cpu")


def test_peaks_of_each_gpu():
    cuda = tinycnn.cuda
    if cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    for index in (0, 1):
        cuda.reset_peak_memory_stats(index)
    before = cuda.max_memory_allocated(0), cuda.max_memory_allocated(1)
    tinycnn.zeros(1000, device="cuda:1")
    assert (cuda.max_memory_allocated(0), cuda.max_memory_allocated(1)) == (before[0], before[1] + 4096)


def test_arrays_of_captured_steps_are_counted():
    cuda = tinycnn.cuda
    step = tinycnn.cuda.capture(lambda x: x.repeat(1000).exp().repeat(1))
    x = tinycnn.ones(1000, device="gpu")
    for _ in range(2):
        step(x)
    gc.collect()
    cuda.reset_peak_memory_stats()
    before = cuda.memory_allocated()
    result = step(x)
    assert before + 4_000_000 <= cuda.memory_allocated() < before + 5_000_000  # the result
    assert cuda.max_memory_allocated() >= before + 8_000_000  # with what it was made of
    assert cuda.memory_reserved() >= before + 8_000_000
    del result, step
    gc.collect()
    assert cuda.memory_allocated() <= before


def test_the_constants_of_layers_are_bounded_and_those_of_a_step_are_its_own():
    images = tinycnn.ones(1, 1, 5, 5, device="gpu")
    step = tinycnn.cuda.capture(lambda x: nn.functional.interpolate(x, size=(7, 9), mode="bilinear"))
    for _ in range(2):
        step(images)
    known = devices._constants
    before = tinycnn.cuda.memory_allocated()
    for size in range(2, 2 + 2 * known.most):  # what the step has used is not the latest any more
        devices.constant(np.arange(size), images.device)
    assert len(known.arrays) == known.most
    assert known.bytes == sum(array.nbytes for array in known.arrays.values())
    assert tinycnn.cuda.memory_allocated() <= before + known.most * 4608
    expected = step(images).cpu().numpy()
    assert step.captured
    taken = [tinycnn.full((size,), 7.0, device="gpu") for size in range(1, 40)]
    np.testing.assert_array_equal(step(images).cpu().numpy(), expected)
    assert all((x == 7.0).all() for x in taken)
    devices.constant(np.zeros(known.most_bytes), images.device)
    assert len(known.arrays) == 1


def test_a_replay_in_another_stream_waits_for_the_last_one(monkeypatch):
    import cupy

    step = step_with_temporaries()
    x = tinycnn.ones(10, 50, device="gpu")
    for _ in range(4):
        step(x)
    waits = []
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    monkeypatch.setattr(type(streams[0]), "wait_event", lambda self, event: waits.append(self.ptr))
    for stream in (streams[0], streams[0], streams[1]):
        with stream:
            step(x)
    assert waits == [streams[0].ptr, streams[1].ptr]


def test_a_replay_calls_few_functions():
    """A replay's Python: its own function and those of the arguments, and none for each tensor that it looks at."""
    model = small_net()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(images, targets):
        optimizer.zero_grad()
        loss = cross_entropy(model(images), targets)
        loss.backward()
        optimizer.step()

    captured = tinycnn.cuda.capture(step)
    batch = samples(np.random.default_rng(0), 4)
    for _ in range(4):
        captured(*batch)
    ((recording,),) = captured._recordings.values()
    called = []
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        assert recording.is_valid()
        assert recording.fits(list(batch))
    finally:
        sys.setprofile(None)
    assert len(recording.relied_on[0]) > 40
    assert called == ["is_valid", "fits", "<genexpr>"]


# --- what is replaced, chosen and asked for between calls -----------------------------------------------------


def linear_of_ones():
    layer = nn.Linear(2, 1, bias=False).gpu()
    with tinycnn.no_grad():
        layer.weight.fill_(1.0)
    return layer, tinycnn.ones(1, 2, device="gpu")


def test_autocast_around_a_captured_step():
    """Its dtype is a part of what a recording is for."""
    layer, x = linear_of_ones()
    captured = tinycnn.cuda.capture(lambda x: layer(x) * 1)
    for _ in range(3):
        for dtype in ("float16", "bfloat16", None):
            with tinycnn.autocast("cuda", dtype=dtype, enabled=dtype is not None):
                assert captured(x).dtype == (dtype or "float32")
    assert captured.captured
    assert captured.reason is None


def test_casts_of_an_outer_autocast_are_of_the_weights_as_they_are():
    layer, x = linear_of_ones()
    captured = tinycnn.cuda.capture(lambda x: layer(x).float())
    with tinycnn.autocast("cuda", dtype="float16"):
        for value in (1.0, 1.0, 1.0, 1.0, 5.0, 6.0):
            with tinycnn.no_grad():
                layer.weight.fill_(value)
            assert captured(x).item() == 2 * value
        assert layer(x).item() == 12
    assert captured.captured


def test_gradients_of_micro_batches_within_one_autocast():
    def program(capture):
        layer, x = linear_of_ones()
        optimizer = optim.SGD(layer.parameters(), lr=0.125)

        @capture
        def micro(x):
            loss = layer(x).float().sum() / 4
            loss.backward()
            return loss

        with tinycnn.autocast("cuda", dtype="float16"):
            for i in range(16):
                micro(x * (i % 3 + 1))
                if i % 4 == 3:
                    optimizer.step()
                    optimizer.zero_grad()
        return layer.weight.detach().cpu().numpy()

    np.testing.assert_array_equal(program(tinycnn.cuda.capture), program(lambda step: step))


def test_ever_new_arguments_end_in_eager_steps_with_one_warning():
    """None of them is held."""
    captured = tinycnn.cuda.capture(lambda x, factor: x * factor)
    x = tinycnn.ones(3, device="gpu")
    factors = [1 / (i + 1) for i in range(200)]
    with pytest.warns(RuntimeWarning, match="different sets of arguments that are no tensors") as warned:
        found = [captured(x, factor).cpu().numpy()[0] for factor in factors]
    np.testing.assert_allclose(found, factors, rtol=1e-6)
    assert len(warned) == 1
    assert (captured._eager, captured._recordings) == ({}, {})


@pytest.mark.parametrize("attribute", ["weight", "scale", "inner"])
def test_attributes_of_a_module_that_are_replaced_between_calls(attribute):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(tinycnn.ones(3))
            self.register_buffer("scale", tinycnn.ones(3))
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            return self.inner(x * self.weight * self.scale)

    def others():
        tinycnn.manual_seed(1)
        return {
            "weight": nn.Parameter(tinycnn.full((3,), 2.0)), "scale": tinycnn.full((3,), 3.0), "inner": nn.Linear(3, 3)
        }[attribute]  # fmt: skip

    def program(capture):
        tinycnn.manual_seed(0)
        net, x, found = Net().gpu(), tinycnn.ones(2, 3, device="gpu"), []
        step = capture(lambda x: net(x))
        for i in range(8):
            if i == 4:
                other = others()
                setattr(net, attribute, other.gpu() if isinstance(other, nn.Module) else type(other)(other.gpu()))
            found.append(step(x).detach().cpu().numpy())
        return found

    for a, b in zip(program(tinycnn.cuda.capture), program(lambda step: step)):
        np.testing.assert_array_equal(a, b)


def test_a_buffer_that_the_step_replaces():
    """A replay would go on reading the one before."""

    class Average(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", tinycnn.zeros(3))

        def forward(self, x):
            self.mean = self.mean * 0.5 + x
            return self.mean * 1

    def program(capture):
        step = capture(Average().gpu().forward)
        return [step(tinycnn.full((3,), float(i), device="gpu")).cpu().numpy() for i in range(6)]

    with pytest.warns(RuntimeWarning, match="replaces what it has used"):
        found = program(tinycnn.cuda.capture)
    for a, b in zip(found, program(lambda step: step)):
        np.testing.assert_array_equal(a, b)


def test_a_parameter_that_leaves_its_group_between_calls():
    def program(capture):
        tinycnn.manual_seed(0)
        layer, x = nn.Linear(3, 2).gpu(), tinycnn.ones(4, 3, device="gpu")
        optimizer = optim.SGD(layer.parameters(), lr=0.125)

        @capture
        def step(x):
            optimizer.zero_grad()
            layer(x).sum().backward()
            optimizer.step()

        for i in range(9):
            if i == 5:
                del optimizer.param_groups[0]["params"][0]
            step(x)
        return [param.detach().cpu().numpy() for param in layer.parameters()]

    for a, b in zip(program(tinycnn.cuda.capture), program(lambda step: step)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("option", [{"nesterov": True}, {"maximize": True}, {"momentum": 0.0}])
def test_flags_of_an_optimizer_between_calls(option):
    def program(capture):
        layer, x = linear_of_ones()
        optimizer = optim.SGD(layer.parameters(), lr=0.125, momentum=0.5)

        @capture
        def step(x):
            optimizer.zero_grad()
            layer(x).sum().backward()
            optimizer.step()

        for i in range(10):
            if i == 5:
                optimizer.param_groups[0].update(option)
            step(x)
        return layer.weight.detach().cpu().numpy()

    np.testing.assert_array_equal(program(tinycnn.cuda.capture), program(lambda step: step))
