"""`autograd.functional`: against torch, and against Jacobians of finite differences."""

import numpy as np
import pytest

import tinycnn
from tests.in_both import array, check_same, outcome
from tinycnn.autograd import functional
from tinycnn.jacobians import hessian, hvp, jacobian, jvp, vhp, vjp


def given(lib):
    """x (3,), w (2, 3), and vectors of the same shapes."""
    return [lib.tensor(array(*shape, seed=seed) - 0.8) for seed, shape in enumerate([(3,), (2, 3), (3,), (2, 3)])]


def one(x):
    return (x**3).exp()


def two(x, w):
    return (w * x).sin(), w @ x


def number(x, w):
    return ((w * x).sin() * w).sum() * x[0]


def first(x, w):
    """Does not depend on w."""
    return x * x


def linear(x, w):
    return (x * 2).sum() + (w * 3).sum()


def dependent(call):
    """`call(functional, x, w, v, u, strict)` as a program, for both values of `strict`."""
    return [lambda lib, strict=strict: call(lib.autograd.functional, *given(lib), strict) for strict in (False, True)]


PROGRAMS = {
    "vjp": lambda lib: lib.autograd.functional.vjp(one, given(lib)[0], given(lib)[2]),
    "vjp of two": lambda lib: lib.autograd.functional.vjp(
        two, tuple(given(lib)[:2]), (given(lib)[3], lib.tensor(array(2)))
    ),
    "vjp of a number": lambda lib: lib.autograd.functional.vjp(number, tuple(given(lib)[:2])),
    "jvp": lambda lib: lib.autograd.functional.jvp(one, given(lib)[0], given(lib)[2]),
    "jvp of two": lambda lib: lib.autograd.functional.jvp(two, tuple(given(lib)[:2]), tuple(given(lib)[2:])),
    "jvp of a number": lambda lib: lib.autograd.functional.jvp(one, lib.tensor([0.5])),
    "vhp": lambda lib: lib.autograd.functional.vhp(number, tuple(given(lib)[:2]), tuple(given(lib)[2:])),
    "hvp": lambda lib: lib.autograd.functional.hvp(number, tuple(given(lib)[:2]), tuple(given(lib)[2:])),
    "hvp of one": lambda lib: lib.autograd.functional.hvp(lambda x: one(x).sum(), given(lib)[0], given(lib)[2]),
    "jacobian": lambda lib: lib.autograd.functional.jacobian(one, given(lib)[0]),
    "jacobian of two": lambda lib: lib.autograd.functional.jacobian(two, tuple(given(lib)[:2])),
    "jacobian by one of two": lambda lib: lib.autograd.functional.jacobian(
        lambda x: two(x, given(lib)[1]), given(lib)[0]
    ),
    "jacobian of one by two": lambda lib: lib.autograd.functional.jacobian(lambda x, w: w * x, tuple(given(lib)[:2])),
    "jacobian of a number": lambda lib: lib.autograd.functional.jacobian(lambda x: x * 2, lib.tensor(3.0)),
    "hessian": lambda lib: lib.autograd.functional.hessian(number, tuple(given(lib)[:2])),
    "hessian of one": lambda lib: lib.autograd.functional.hessian(lambda x: one(x).sum(), given(lib)[0]),
    "no v": lambda lib: lib.autograd.functional.vjp(one, given(lib)[0]),
    "v of another shape": lambda lib: lib.autograd.functional.vjp(one, given(lib)[0], given(lib)[3]),
    "v of another number": lambda lib: lib.autograd.functional.jvp(two, tuple(given(lib)[:2]), given(lib)[2]),
    "no number": lambda lib: lib.autograd.functional.vhp(one, given(lib)[0], given(lib)[2]),
    "no Tensor": lambda lib: lib.autograd.functional.vjp(one, 3.0),
    "no Tensor comes": lambda lib: lib.autograd.functional.vjp(lambda x: 3, given(lib)[0]),
}
for _name, _call in {
    "vjp": lambda f, x, w, v, u, strict: f.vjp(first, (x, w), v, strict=strict),
    "jvp": lambda f, x, w, v, u, strict: f.jvp(first, (x, w), (v, u), strict=strict),
    "jacobian": lambda f, x, w, v, u, strict: f.jacobian(first, (x, w), strict=strict),
    "hvp": lambda f, x, w, v, u, strict: f.hvp(linear, (x, w), (v, u), strict=strict),
    "vhp": lambda f, x, w, v, u, strict: f.vhp(linear, (x, w), (v, u), strict=strict),
    "hessian": lambda f, x, w, v, u, strict: f.hessian(linear, (x, w), strict=strict),
    "constant": lambda f, x, w, v, u, strict: f.jacobian(lambda x: w, x, strict=strict),
    "one of two": lambda f, x, w, v, u, strict: f.jacobian(lambda x: (x * 2, w), x, strict=strict),
    "vjp of one of two": lambda f, x, w, v, u, strict: f.vjp(lambda x: (x * 2, w), x, (v, u), strict=strict),
    "constant vjp": lambda f, x, w, v, u, strict: f.vjp(lambda x: w, x, u, strict=strict),
}.items():
    PROGRAMS[f"{_name} without"], PROGRAMS[f"{_name} without, strict"] = dependent(_call)


def _recorded(name):
    def program(lib):
        """What create_graph gives is differentiated again."""
        x = given(lib)[0].requires_grad_()
        f, v = lib.autograd.functional, given(lib)[2]
        arguments = (x,) if name in ("jacobian", "hessian") else (x, v)
        of = one if name in ("vjp", "jvp", "jacobian") else lambda x: one(x).sum()
        found = getattr(f, name)(of, *arguments, create_graph=True)
        matrix = found if name in ("jacobian", "hessian") else found[1]
        (matrix * matrix).sum().backward()
        return found, x.grad

    return program


for _name in functional.__all__:
    PROGRAMS[f"{_name} with create_graph"] = _recorded(_name)


@pytest.mark.torch
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_agree_with_torch(name):
    import torch

    check_same(outcome(PROGRAMS[name], tinycnn), outcome(PROGRAMS[name], torch))


def test_which_programs_are_refused():
    refused = {name for name, program in PROGRAMS.items() if isinstance(outcome(program, tinycnn), str)}
    assert refused == {"no v", "v of another shape", "v of another number", "no number", "no Tensor", "no Tensor comes",
                       *(name for name in PROGRAMS if name.endswith("strict"))}  # fmt: skip


# --- finite differences -----------------------------------------------------------------------------------


def difference_matrix(func, x, eps=1e-6):
    columns = []
    for i in range(x.numel()):
        step = np.zeros(x.numel())
        step[i] = eps
        step = tinycnn.tensor(step.reshape(x.shape))
        columns.append((func(x + step) - func(x - step)).detach().numpy().ravel() / (2 * eps))
    return np.stack(columns, -1)


def test_a_jacobian_is_that_of_finite_differences():
    x, w, *_ = given(tinycnn)
    for func, at in [(one, x), (lambda x: two(x, w)[0], x), (lambda w: two(x, w)[1], w)]:
        found = jacobian(func, at)
        assert found.shape == (*func(at).shape, *at.shape)
        matrix = found.numpy().reshape(-1, at.numel())
        np.testing.assert_allclose(matrix, difference_matrix(func, at), rtol=1e-6, atol=1e-8)


def test_products_are_those_with_the_matrices():
    x, w, v, _ = given(tinycnn)
    J, H = jacobian(one, x).numpy(), hessian(lambda x: number(x, w), x).numpy()
    np.testing.assert_allclose(vjp(one, x, v)[1].numpy(), v.numpy() @ J)
    np.testing.assert_allclose(jvp(one, x, v)[1].numpy(), J @ v.numpy())
    np.testing.assert_allclose(vhp(lambda x: number(x, w), x, v)[1].numpy(), v.numpy() @ H)
    np.testing.assert_allclose(hvp(lambda x: number(x, w), x, v)[1].numpy(), H @ v.numpy())

    def gradient(x):
        x = x.detach().requires_grad_()
        return tinycnn.grad(number(x, w), x)[0]

    np.testing.assert_allclose(H, difference_matrix(gradient, x), rtol=1e-6, atol=1e-8)


def test_inputs_are_left_as_they_are():
    x = given(tinycnn)[0]
    vjp(one, x, x)
    assert not x.requires_grad
    assert not vjp(one, x, x)[0].requires_grad
    x = x.requires_grad_()
    (jacobian(one, x, create_graph=True) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), difference_matrix(lambda x: (jacobian(one, x) ** 2).sum(), x)[0], 1e-5)
    assert not jacobian(one, x).requires_grad
    x.grad = None
    with tinycnn.no_grad():
        assert jacobian(one, x).shape == (3, 3)
    assert x.grad is None
    assert jacobian(one, tinycnn.zeros(0)).shape == (0, 0)


def test_other_strategies_are_refused():
    with pytest.raises(ValueError, match=r"jacobian: expected strategy='reverse-mode', got 'forward-mode'"):
        jacobian(one, given(tinycnn)[0], strategy="forward-mode")


def test_the_module_has_torchs_path():
    import tinycnn.autograd.functional as path
    from tinycnn.autograd.functional import jacobian as found

    assert path is functional
    assert found is jacobian
