"""Mixed precision on a CPU: operands rounded as a GPU would, in the forward pass and in its backward pass."""

import threading

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim, tensor
from tinycnn.backend import cpu, precision
from tinycnn.nn import functional as F


def bfloat16(x):
    """Rounded with the exponent of each number: 8 significant binary digits, ties to even."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.round(mantissa * 256) / 256, exponent).astype(np.float32)


def test_rounding_to_bfloat16():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(10_000) * 10.0 ** rng.integers(-30, 30, 10_000)).astype(np.float32)
    x[:4] = 1 + 2.0**-8, 1 + 3 * 2.0**-8, -(1 + 2.0**-8), 0  # ties
    np.testing.assert_array_equal(cpu.rounded(x, "bfloat16"), bfloat16(x))
    special = np.array([np.inf, -np.inf, np.nan, -0.0, 3.4e38], np.float32)
    np.testing.assert_array_equal(cpu.rounded(special, "bfloat16"), [np.inf, -np.inf, np.nan, -0.0, np.inf])
    full_mantissa = np.array([0x7FFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(cpu.rounded(full_mantissa, "bfloat16")).all()


def test_rounding_leaves_the_operand_and_other_types_alone():
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32).T
    before = x.copy()
    assert cpu.rounded(x, "bfloat16").strides == x.strides
    np.testing.assert_array_equal(x, before)
    assert cpu.rounded(x, "float32") is x
    assert cpu.rounded(x, "tf32") is x
    double = x.astype(np.float64)
    assert cpu.rounded(double, "float16") is double


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("layer", ["linear", "matmul", "conv", "strided conv", "grouped conv", "conv_transpose"])
def test_operands_are_rounded_forward_and_backward(dtype, layer):
    rng = np.random.default_rng(1)

    def leaf(*shape):
        return tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)

    x, w, function = {
        "linear": (leaf(5, 7), leaf(3, 7), F.linear),
        "matmul": (leaf(2, 5, 7), leaf(2, 7, 3), tinycnn.matmul),
        "conv": (leaf(2, 3, 6, 5), leaf(4, 3, 3, 2), F.conv2d),
        "strided conv": (leaf(2, 3, 7, 6), leaf(4, 3, 3, 2), lambda x, w: F.conv2d(x, w, stride=2, padding=1)),
        "grouped conv": (leaf(2, 4, 6, 5), leaf(6, 2, 3, 2), lambda x, w: F.conv2d(x, w, groups=2)),
        "conv_transpose": (leaf(2, 3, 4, 5), leaf(3, 4, 3, 2), F.conv_transpose2d),
    }[layer]
    u = tensor(rng.standard_normal(function(x, w).shape).astype(np.float32))
    with tinycnn.autocast(dtype=dtype):
        y = function(x, w)
    assert y.dtype == tinycnn.float32
    y.backward(u)  # outside of the block, as torch advises
    round_ = [tensor(cpu.rounded(t.detach().numpy(), dtype), requires_grad=True) for t in (x, w)]
    expected = function(*round_)
    expected.backward(tensor(cpu.rounded(u.numpy(), dtype)))
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), **close)
    for given, rounded in zip((x, w), round_):
        np.testing.assert_allclose(given.grad.numpy(), rounded.grad.numpy(), **close)
    assert np.abs(y.detach().numpy() - function(x, w).detach().numpy()).max() > 1e-5  # it did make a difference


def test_where_autocast_holds():
    assert precision.chosen.product == "float32"
    with tinycnn.autocast("cuda", "float16"):
        assert precision.chosen.product == "float16"
        with tinycnn.autocast(enabled=False):
            assert precision.chosen.product == "float32"
        assert precision.chosen.product == "float16"
    assert precision.chosen.product == "float32"

    @tinycnn.autocast(dtype=tinycnn.float16)
    def decorated():
        return precision.chosen.product

    assert decorated() == "float16"
    assert precision.chosen.product == "float32"


def test_tf32_is_asked_for_by_torch_s_name():
    try:
        tinycnn.set_float32_matmul_precision("high")
        assert (precision.chosen.product, tinycnn.get_float32_matmul_precision()) == ("tf32", "high")
    finally:
        tinycnn.set_float32_matmul_precision("highest")
    assert precision.chosen.product == "float32"


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: tinycnn.autocast(dtype="float8"), "autocast: expected dtype as 'bfloat16' or 'float16', got 'float8'"),
     (lambda: tinycnn.autocast("tpu"), "expected device_type 'cuda' or 'cpu', got 'tpu'"),
     (lambda: tinycnn.set_float32_matmul_precision("medium"), "expected precision as 'highest' or 'high', got 'me"),
     (lambda: tinycnn.amp.GradScaler("cpu", init_scale=0), "expected init_scale above 0 and below inf, got 0"),
     (lambda: tinycnn.amp.GradScaler("cpu", growth_interval=1.5), "expected growth_interval as an int")],
)  # fmt: skip
def test_wrong_arguments(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


class TestGradScaler:
    def one_parameter(self, scaler):
        w = nn.Parameter(tensor([1.0, 2.0]))
        return w, optim.SGD([w], lr=0.5), scaler

    def test_a_step_is_what_it_would_be_without(self):
        w, optimizer, scaler = self.one_parameter(tinycnn.amp.GradScaler("cpu"))
        scaler.scale((w * w).sum()).backward()
        np.testing.assert_array_equal(w.grad.numpy(), [2 * 65536, 4 * 65536])
        scaler.step(optimizer)
        np.testing.assert_array_equal(w.detach().numpy(), [0.0, 0.0])

    @pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
    def test_a_step_that_is_not_finite_is_left_out_and_the_factor_halved(self, bad):
        w, optimizer, scaler = self.one_parameter(tinycnn.amp.GradScaler("cpu", init_scale=8.0))
        w.grad = tensor([1.0, bad])
        scaler.step(optimizer)
        scaler.update()
        np.testing.assert_array_equal(w.detach().numpy(), [1.0, 2.0])
        assert scaler.get_scale() == 4.0
        w.grad = tensor([4.0, 0.0])  # the next step counts again
        scaler.step(optimizer)
        np.testing.assert_array_equal(w.detach().numpy(), [0.5, 2.0])

    def test_the_factor_grows_after_good_steps(self):
        w, optimizer, scaler = self.one_parameter(tinycnn.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2))
        factors = []
        for bad in (0, 0, 0, np.inf, 0, 0):
            w.grad = tensor([bad, 0.0])
            scaler.step(optimizer)
            scaler.update()
            factors.append(scaler.get_scale())
        assert factors == [8, 16, 16, 8, 8, 16]

    @pytest.mark.parametrize("growth, backoff, interval", [(2.0, 0.5, 1), (3.0, 0.25, 2), (1.5, 0.75, 3)])
    def test_the_factor_follows_its_options(self, growth, backoff, interval):
        """As the definition says it: the product of all factors, and the count of good steps since the last change."""
        options = {"growth_factor": growth, "backoff_factor": backoff, "growth_interval": interval}
        w, optimizer, scaler = self.one_parameter(tinycnn.amp.GradScaler("cpu", init_scale=8.0, **options))
        scale, good = 8.0, 0
        for bad in (0, 0, 0, 0, np.nan, 0, np.inf, np.inf, 0, 0, 0):
            before = w.detach().numpy().copy()
            w.grad = tensor([bad, scaler.get_scale()])
            scaler.step(optimizer)
            moved = 0.0 if bad else 0.5
            np.testing.assert_allclose(w.detach().numpy(), before - [0, moved], rtol=1e-6)
            scaler.update()
            good = 0 if bad else good + 1
            if bad:
                scale *= backoff
            elif good == interval:
                scale, good = scale * growth, 0
            assert scaler.get_scale() == pytest.approx(scale, rel=1e-6)
            assert scaler.state_dict() == {"scale": scaler.get_scale(), **options, "good_steps": good}

    def test_two_optimizers_share_one_flag_until_the_update(self):
        scaler = tinycnn.amp.GradScaler("cpu", init_scale=4.0)
        (v, first, _), (w, second, _) = self.one_parameter(scaler), self.one_parameter(scaler)
        v.grad, w.grad = tensor([np.inf, 0.0]), tensor([4.0, 4.0])
        scaler.unscale_(first)
        scaler.unscale_(second)
        assert w.grad.tolist() == [1.0, 1.0]
        for optimizer in (first, second):
            scaler.step(optimizer)
        scaler.update()
        assert (v.tolist(), w.tolist()) == ([1.0, 2.0], [1.0, 2.0])
        assert scaler.get_scale() == 2.0
        w.grad = tensor([2.0, 2.0])
        scaler.unscale_(second)  # a second time, after the update
        scaler.step(second)
        assert w.tolist() == [0.5, 1.5]

    def test_limits_of_its_options(self):
        make = tinycnn.amp.GradScaler
        assert make("cpu", 1e-3, 1.001, 0.999, 1).get_scale() == pytest.approx(1e-3)
        for options in (
            {"init_scale": 0.0}, {"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"backoff_factor": 0.0},
            {"growth_interval": 0},
        ):  # fmt: skip
            with pytest.raises(ValueError, match=f"^GradScaler: expected {next(iter(options))} "):
                make("cpu", **options)

    def test_clipping_after_unscaling(self):
        w, optimizer, scaler = self.one_parameter(tinycnn.amp.GradScaler("cpu", init_scale=8.0))
        scaler.scale((w * tensor([3.0, 4.0])).sum()).backward()
        scaler.unscale_(optimizer)
        np.testing.assert_array_equal(w.grad.numpy(), [3.0, 4.0])
        assert optim.clip_grad_norm_([w], 1e9).item() == 5.0
        with pytest.raises(RuntimeError, match="second time"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        np.testing.assert_array_equal(w.detach().numpy(), [-0.5, 0.0])

    def test_disabled_it_does_nothing(self):
        w, optimizer, scaler = self.one_parameter(tinycnn.amp.GradScaler("cuda", enabled=False))
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        np.testing.assert_array_equal(w.detach().numpy(), [0.5, 1.5])
        assert scaler.get_scale() == 1.0
        assert scaler.state_dict() == {}

    def test_state_round_trip(self):
        _, _, scaler = self.one_parameter(tinycnn.amp.GradScaler("cpu", init_scale=8.0))
        other = tinycnn.amp.GradScaler("cpu")
        other.load_state_dict(scaler.state_dict())
        assert other.state_dict() == scaler.state_dict()
        assert other.get_scale() == 8.0
        with pytest.raises(ValueError, match="expected 'scale'"):
            other.load_state_dict({})

    @pytest.mark.parametrize("name, value", [
        ("scale", 0.0), ("scale", float("inf")), ("scale", "large"), ("growth_factor", 1), ("backoff_factor", None),
        ("growth_interval", 2.5), ("good_steps", -1), ("good_steps", 2**40), ("good_steps", 0.5),
    ])  # fmt: skip
    def test_a_bad_state_is_refused_and_nothing_is_loaded(self, name, value):
        scaler, other = tinycnn.amp.GradScaler("cpu"), tinycnn.amp.GradScaler("cpu", 8.0, 3.0, 0.25, 7)
        before = scaler.state_dict()
        with pytest.raises((TypeError, ValueError), match=rf"^GradScaler.load_state_dict: expected {name} .*, got "):
            scaler.load_state_dict({**other.state_dict(), name: value})
        with pytest.raises(ValueError, match=r"^GradScaler.load_state_dict: expected a dict, got int$"):
            scaler.load_state_dict(3)
        assert scaler.state_dict() == before


def test_one_autocast_in_two_threads():
    """Each thread has its own nesting."""
    shared, inside, leave = tinycnn.autocast(dtype="float16"), threading.Event(), threading.Event()
    seen = []

    def other():
        with shared:
            seen.append(precision.chosen.product)
            inside.set()
            leave.wait(10)
        seen.append(precision.chosen.product)

    thread = threading.Thread(target=other)
    with tinycnn.autocast(dtype="bfloat16"):
        thread.start()
        inside.wait(10)
        with shared:
            leave.set()
            thread.join()
            assert precision.chosen.product == "float16"
        assert precision.chosen.product == "bfloat16"
    assert precision.chosen.product == "float32"
    assert seen == ["float16", "float32"]
