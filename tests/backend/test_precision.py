"""In which precision products of float32 are computed; loss scaling."""

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, optim, tensor
from tinycnn.backend import precision


def test_tf32_is_asked_for_by_torch_s_name():
    try:
        tinycnn.set_float32_matmul_precision("high")
        assert (precision.chosen.product, tinycnn.get_float32_matmul_precision()) == ("tf32", "high")
    finally:
        tinycnn.set_float32_matmul_precision("highest")
    assert precision.chosen.product == "float32"


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: tinycnn.set_float32_matmul_precision("medium"), "expected precision as 'highest' or 'high', got 'me"),
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
