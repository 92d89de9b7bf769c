"""gradcheck must fail for every kind of wrong backward, and say where."""

import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn import Function, Tensor, gradcheck, gradgradcheck, tensor
from tinycnn.diagnostics.gradcheck import GradcheckError


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return tensor(np.random.default_rng(seed).uniform(0.5, 1.5, shape), requires_grad=True)


def planted(right_forward, wrong_backward):
    """A function whose backward is wrong."""

    def apply(*inputs):
        members = {"saves_inputs": True, "forward": right_forward, "backward": wrong_backward}
        return type("Planted", (Function,), members)()(*inputs)

    return apply


def product(self, a, b):
    return a * b


def matrix_product(self, a, b):
    return a @ b


def row_sum(self, x):
    return x.sum(0)


def square(self, x):
    return x * x


def ignores_upstream(self, g):
    a, b = self.inputs
    return b * 1.0, a * 1.0


def wrong_factor(self, g):
    a, b = self.inputs
    return g * b * 1.002, g * a


def wrong_sign(self, g):
    a, b = self.inputs
    return g * b, -(g * a)


def swapped(self, g):
    a, b = self.inputs
    return g * a, g * b


def transposed(self, g):
    a, b = self.inputs
    return (b @ g.T), a.T @ g


def sum_over_the_wrong_dimension(self, g):
    (x,) = self.inputs
    return g.reshape(-1, 1).expand(*x.shape)


def one_element_wrong(self, g):
    (x,) = self.inputs
    factor = np.full(x.shape, 2.0)
    factor[1, 2] = 2.01
    return g * x * tensor(factor)


def forgotten(self, g):
    _, b = self.inputs
    return g * b, None


def not_a_number(self, g):
    (x,) = self.inputs
    return g * x * 2.0 + tensor(np.where(np.arange(12).reshape(3, 4) == 6, np.nan, 0.0))


def right_only_once(self, g):
    (x,) = self.inputs
    return g * x.detach() * 2.0


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize(
    "forward, backward, shapes, where",
    [
        (product, ignores_upstream, [(3, 4), (3, 4)], r"inputs\[0\] of shape \(3, 4\) is wrong at \[0, 0\]"),
        (product, wrong_factor, [(3, 4), (4,)], r"inputs\[0\] .*\(12 elements in all\)"),
        (product, wrong_sign, [(3, 4), (4,)], r"inputs\[1\] of shape \(4,\) is wrong at \[0\]"),
        (product, swapped, [(3, 4), (3, 4)], r"inputs\[0\]"),
        (product, forgotten, [(3, 4), (3, 4)], r"inputs\[1\] .*backward gives 0, differences give"),
        (matrix_product, transposed, [(3, 3), (3, 3)], r"inputs\[0\]"),
        (row_sum, sum_over_the_wrong_dimension, [(4, 4)], r"inputs\[0\]"),
        (square, one_element_wrong, [(3, 4)], r"inputs\[0\] .* is wrong at \[1, 2\]: .*\(1 elements in all\)"),
        (
            square,
            not_a_number,
            [(3, 4)],
            r"inputs\[0\] .* is wrong at \[1, 2\]: backward gives nan.*\(1 elements in all\)",
        ),
    ],
)
def test_planted_error_is_found_and_placed(forward, backward, shapes, where, fast_mode):
    inputs = [leaf(*shape, seed=i) for i, shape in enumerate(shapes)]
    with pytest.raises(GradcheckError) as found:
        gradcheck(planted(forward, backward), inputs, fast_mode=fast_mode)
    if fast_mode:
        where = where.split(" ")[0]
    assert found.match(where)
    assert not gradcheck(planted(forward, backward), inputs, fast_mode=fast_mode, raise_exception=False)


def test_message_gives_both_values():
    with pytest.raises(GradcheckError, match=r"backward gives (\S+), differences give (\S+), off by") as found:
        gradcheck(planted(square, one_element_wrong), leaf(3, 4))
    words = str(found.value).replace(",", "").split()
    analytic, numeric = float(words[words.index("gives") + 1]), float(words[words.index("give") + 1])
    assert analytic / numeric == pytest.approx(2.01 / 2, rel=1e-4)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_error_of_second_order_only(fast_mode):
    function, x = planted(square, right_only_once), leaf(3, 4)
    assert gradcheck(function, x, fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match=r"inputs\[0\]"):
        gradgradcheck(function, x, fast_mode=fast_mode)


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("fast_mode", [False, True])
def test_right_gradients_pass(check, fast_mode):
    inputs = (leaf(3, 4), leaf(4, 2, seed=1), leaf(2, seed=2))
    assert check(lambda x, w, b: (x @ w + b).tanh(), inputs, fast_mode=fast_mode)
    assert check(lambda x, w, b: (x.exp(), w.sum(0) * b), inputs, fast_mode=fast_mode)
    assert check(lambda x: x.T, leaf(3, 4), fast_mode=fast_mode)  # linear, and a view
    assert check(lambda x: x * 2.0, leaf(0, 3), fast_mode=fast_mode)


def test_check_of_third_order():
    x = leaf(3)

    def gradient(x):
        return tinycnn.grad((x.tanh() * x).sum(), x, create_graph=True)[0]

    assert gradgradcheck(gradient, x)


def test_given_upstream_gradients():
    x, u = leaf(3), leaf(3, seed=1)
    assert gradgradcheck(lambda x: x**3, x, u)
    assert gradgradcheck(lambda x: (x**3, x.exp()), x, (u, u))


def test_inputs_that_are_not_differentiated_are_passed_on():
    index = tensor([2, 0, 2])
    assert gradcheck(lambda x, i, n, w: x[i] * n * w, (leaf(3), index, 2.0, leaf(3).detach()))


def test_parameters_reached_in_another_way():
    x, w = leaf(2, 3), leaf(3, 2, seed=1)
    assert gradcheck(lambda x, _: x @ w, (x, w))


def test_outputs_that_are_not_differentiable_are_left_out():
    assert gradcheck(lambda x: x.max(1), leaf(3, 4))


def test_strides():
    x = tinycnn.from_numpy(leaf(4, 3).detach().numpy().T[:, ::2]).requires_grad_()
    assert gradcheck(lambda x: x.exp() @ x.T, x)


def test_input_that_does_not_matter_has_gradient_0():
    assert gradcheck(lambda x, w: x * 2.0, (leaf(3), leaf(3, seed=1)))


def test_output_cut_off_from_its_input_is_found():
    with pytest.raises(GradcheckError, match=r"inputs\[1\].*backward gives 0"):
        gradcheck(lambda x, w: x * w.detach(), (leaf(3), leaf(3, seed=1)))
    with pytest.raises(GradcheckError, match="no output of func requires a gradient"):
        gradcheck(lambda x: x.detach() * 2.0, leaf(3))


def test_kinks_are_named_and_accepted():
    x = tensor([-1.0, 0.0, 2.0], dtype="float64", requires_grad=True)
    with pytest.warns(UserWarning, match=r"inputs\[0\] is not smooth at \[1\], where the slopes are .* \(1 in all\)"):
        assert gradcheck(tinycnn.relu, x)
    ties = tensor([[1.0, 3.0, 3.0]], dtype="float64", requires_grad=True)
    with pytest.warns(UserWarning, match=r"not smooth at \[0, 1\].*\(2 in all\)"):
        assert gradcheck(lambda x: x.amax(1), ties)


def test_gradient_outside_the_slopes_of_a_kink_is_wrong():
    x = tensor([-1.0, 0.0, 2.0], dtype="float64", requires_grad=True)
    overshooting = planted(
        lambda self, x: np.abs(x),
        lambda self, g: g * tensor(np.where(self.inputs[0]._array >= 0, 1.0, -1.0) * [1.0, 1.5, 1.0]),
    )
    with pytest.warns(UserWarning, match="not smooth"), pytest.raises(GradcheckError, match=r"at \[1\]"):
        gradcheck(overshooting, x)


def test_smooth_functions_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradcheck(lambda x: (x * 3.0).exp() * 10.0, leaf(3, 4))


def test_random_functions_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="differs between two calls|different outputs"):
        gradcheck(lambda x: x * tensor(rng.random(3)), leaf(3))
    with pytest.raises(GradcheckError, match="different outputs"):
        gradcheck(lambda x: x + tensor(rng.random(3)), leaf(3))


def test_changed_inputs_are_noticed():
    def changes_its_input(self, x):
        x[0] = 7.0
        return x * 2

    with pytest.raises(GradcheckError, match=r"changed inputs\[0\]"):
        gradcheck(planted(changes_its_input, lambda self, g: g * 2.0), leaf(3))


def test_changed_upstream_gradient_is_noticed():
    def changes_upstream(self, g):
        g._array *= 2
        return g

    with pytest.raises(GradcheckError, match="backward changed the upstream gradient"):
        gradcheck(planted(lambda self, x: x * 2, changes_upstream), leaf(3))


def test_inputs_are_left_as_they_were():
    x = leaf(3, 4)
    before = x.detach().clone()
    gradcheck(tinycnn.exp, x)
    with pytest.raises(GradcheckError):
        gradcheck(planted(square, one_element_wrong), x)
    assert (x == before).all()
    assert x.grad is None


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_inputs_that_cannot_be_checked(check):
    single = tensor(np.ones(3, np.float32), requires_grad=True)
    with pytest.raises(TypeError, match=r"inputs\[1\] is float32; differences need float64, convert it with .double"):
        check(lambda x, w: x * w, (leaf(3), single))
    with pytest.raises(ValueError, match="none of the inputs has requires_grad=True"):
        check(tinycnn.exp, leaf(3).detach())
    repeated = leaf(1).detach().expand(3).requires_grad_()
    with pytest.raises(ValueError, match="repeats elements in memory"):
        check(tinycnn.exp, repeated)
    with pytest.raises(TypeError, match="func must return a Tensor or a sequence of them, got float"):
        check(lambda x: 1.0, leaf(3))
