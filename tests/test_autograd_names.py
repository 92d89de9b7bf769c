"""What programs written for torch find in `tinycnn.autograd` and at a tensor: the same programs with both."""

import copy
import importlib
import threading
import warnings

import numpy as np
import pytest

import tinycnn
from tests.in_both import array, check_same, outcome
from tinycnn import autograd
from tinycnn.custom_function import AccumulateGrad


def leaf(lib, *shape, seed=0):
    return lib.tensor(array(*shape, seed=seed), requires_grad=True)


# --- programs ---------------------------------------------------------------------------------------------


def run_variable(lib):
    Variable = lib.autograd.Variable
    x = leaf(lib, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        volatile = Variable(x, volatile=True)
    plain = lib.tensor(array(3))
    y = Variable(plain, requires_grad=True)
    y.sum().backward()
    with lib.no_grad():
        y.mul_(2)
    same_memory = bool((plain == y).all())
    kinds = [isinstance(each, Variable) for each in (x, lib.nn.Parameter(plain), array(3))]
    made = Variable(x), Variable(x, True), volatile
    return made, len(caught), y.grad, same_memory, Variable(x) is x, y.is_leaf, kinds


def run_variable_of_a_list(lib):
    lib.autograd.Variable([1.0])


def run_backward(lib):
    x, w = leaf(lib, 3), leaf(lib, 3, seed=1)
    y, z = x * w, (x + w).sum()
    lib.autograd.backward([y, z], [lib.tensor(array(3, seed=2)), None], retain_graph=True)
    lib.autograd.backward(z, retain_graph=True)
    lib.autograd.backward(tensors=(y,), grad_tensors=(w,), inputs=[x], retain_graph=True)
    lib.autograd.backward(y, w, inputs=x, create_graph=True)
    return x.grad, w.grad


def run_backward_of_no_number(lib):
    lib.autograd.backward(leaf(lib, 3) * 2)


def run_backward_too_few_gradients(lib):
    x = leaf(lib, 3)
    lib.autograd.backward([x * 2, x * 3], [lib.ones_like(x)])


def run_backward_of_another_shape(lib):
    (leaf(lib, 3) * 2).backward(gradient=lib.ones(1, 3, dtype=lib.float64))


def run_backward_of_one_element(lib):
    x = leaf(lib, 3)
    x.sum().backward(gradient=lib.ones(1, dtype=lib.float64))


def run_grad(lib):
    x, w, other = leaf(lib, 3), leaf(lib, 3, seed=1), leaf(lib, 2, seed=2)
    y = (x * w).sum()
    grad = lib.autograd.grad
    return (
        grad(y, x, None, True, False, True), grad(y, [x, w], retain_graph=True, only_inputs=True),
        grad(y, [x, other], retain_graph=True, allow_unused=True),
        grad(y, [x, other], retain_graph=True, materialize_grads=True),
        grad(outputs=[y, y * 2], inputs=x, grad_outputs=[None, lib.tensor(3.0, dtype=lib.float64)]),
    )  # fmt: skip


def run_grad_unused(lib):
    lib.autograd.grad(leaf(lib, 3).sum(), [leaf(lib, 2)])


def run_grad_flags_that_exclude_each_other(lib):
    x = leaf(lib, 3)
    lib.autograd.grad(x.sum(), x, allow_unused=False, materialize_grads=True)


def run_modes(lib):
    seen = []

    def look(*given):
        seen.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled(), *given))
        return (x * 2).requires_grad

    x = leaf(lib, 3)
    modes = [lib.inference_mode(), lib.inference_mode(True), lib.inference_mode(False), lib.inference_mode(mode=True)]
    for mode in modes:
        with lib.no_grad(), mode:
            look()
        look()
    with lib.inference_mode():
        with lib.inference_mode(False):
            look()
        with lib.enable_grad():
            look()
    seen.append(lib.inference_mode(look)("bare"))
    seen.append(lib.inference_mode()(look)("called"))
    seen.append(lib.inference_mode(False)(look)("off"))
    seen.append(lib.autograd.inference_mode is lib.inference_mode)
    seen.append(lib.autograd.set_grad_enabled is lib.set_grad_enabled)
    return seen


def run_inference_of_a_number(lib):
    lib.inference_mode(1.5).__enter__()


def run_graph(lib):
    """As programs that draw graphs walk it."""
    x, w = leaf(lib, 3), leaf(lib, 3, seed=1)
    y = ((x * w).exp() * x).sum()
    leaves, count, seen, nodes = [], 0, set(), [y.grad_fn]
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append([variable is node.variable for variable in (x, w)])
            assert node.next_functions == ()
        else:
            count += 1
            assert isinstance(node.name(), str)
        nodes.extend(following for following, _ in node.next_functions if following is not None)
    scaled = (x * 2).grad_fn.next_functions
    return sorted(leaves), count, scaled[0][0].variable is x, scaled[1], x.grad_fn


def run_tensor(lib):
    x = leaf(lib, 3)
    h, calls = x * 2, []
    before = h.retains_grad, x.retains_grad
    h.retain_grad()
    handle = x.register_post_accumulate_grad_hook(lambda p: calls.append(p.grad.tolist()))
    h.sum().backward(retain_graph=True)
    h.sum().backward(retain_graph=True)
    handle.remove()
    h.sum().backward()
    rounded = [[round(value, 9) for value in each] for each in calls]
    y = x * 3
    found = y.detach_()
    without = y.requires_grad
    return (before, h.retains_grad, h.grad, rounded, x.grad, found is y, without, y, y.is_leaf, y.grad_fn,
            y.requires_grad_().requires_grad, y.is_inference(), lib.is_inference(y))  # fmt: skip


def run_detach_of_a_view(lib):
    (leaf(lib, 3) * 2)[1:].detach_()


def run_hook_of_no_leaf(lib):
    (leaf(lib, 3) * 2).register_post_accumulate_grad_hook(print)


def run_step_in_the_backward_pass(lib):
    """An optimizer a parameter, whose gradient is dropped as soon as it was used."""
    w, v = leaf(lib, 3), leaf(lib, 3, seed=1)
    optimizers = {p: lib.optim.SGD([p], lr=0.1) for p in (w, v)}

    def step(p):
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in optimizers:
        p.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (w * v).sum().backward()
    return w, v, w.grad


def run_modules(lib):
    found = []
    for path, name in [("function", "Function"), ("variable", "Variable"), ("functional", "jacobian"),
                       ("grad_mode", "no_grad")]:  # fmt: skip
        module = importlib.import_module(f"{lib.__name__}.autograd.{path}")
        found.append(callable(getattr(module, name)) and hasattr(lib.autograd, path))
    return found, [callable(getattr(lib.autograd, name)) for name in ("gradcheck", "gradgradcheck", "detect_anomaly")]


def run_anomaly(lib):
    lib.autograd.set_detect_anomaly(True)
    try:
        x = leaf(lib, 3) * 0
        with np.errstate(all="ignore"):
            (x.sqrt() * 0).sum().backward()
    finally:
        lib.autograd.set_detect_anomaly(False)


def run_anomaly_modes(lib):
    """Which parts find a nan in the backward pass; each part leaves the mode as it was."""

    def finds():
        x = leaf(lib, 3) * 0
        try:
            with np.errstate(all="ignore"):
                (x.sqrt() * 0).sum().backward()
        except RuntimeError:
            return True
        return False

    found = [finds()]
    for make in (lambda: lib.autograd.detect_anomaly(), lambda: lib.autograd.detect_anomaly(check_nan=False),
                 lambda: lib.autograd.set_detect_anomaly(True), lambda: lib.autograd.set_detect_anomaly(False),
                 lambda: lib.autograd.set_detect_anomaly(True, check_nan=False)):  # fmt: skip
        with make():
            found.append(finds())
        found.append(finds())
    lib.autograd.set_detect_anomaly(True)
    found.append(finds())
    lib.autograd.set_detect_anomaly(False)
    return [*found, finds()]


PROGRAMS = {name.removeprefix("run_"): program for name, program in list(globals().items()) if name.startswith("run_")}


TORCH_TAKES = ("anomaly", "inference_of_a_number")  # torch searches the gradients alone for nan


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in TORCH_TAKES])
def test_programs_agree_with_torch(name):
    import torch

    check_same(outcome(PROGRAMS[name], tinycnn), outcome(PROGRAMS[name], torch))


def test_which_programs_are_refused():
    refused = {name: found for name, program in PROGRAMS.items() if isinstance(found := outcome(program, tinycnn), str)}
    assert refused == {
        "variable_of_a_list": "TypeError",
        "backward_of_no_number": "RuntimeError",
        "backward_too_few_gradients": "RuntimeError",
        "backward_of_another_shape": "RuntimeError",
        "backward_of_one_element": "RuntimeError",
        "grad_unused": "RuntimeError",
        "grad_flags_that_exclude_each_other": "ValueError",
        "inference_of_a_number": "TypeError",
        "detach_of_a_view": "RuntimeError",
        "hook_of_no_leaf": "RuntimeError",
        "anomaly": "RuntimeError",
    }


def test_what_the_programs_give_without_torch():
    x, w = array(3), array(3, seed=1)
    first, second = outcome(run_backward, tinycnn)
    np.testing.assert_allclose(first[0], array(3, seed=2) * w + 2 + 2 * w * w)
    np.testing.assert_allclose(second[0], array(3, seed=2) * x + 2)
    assert outcome(run_graph, tinycnn) == [[[False, True], [True, False]], 4, True, [None, 0], None]
    seen = outcome(run_modes, tinycnn)
    assert seen[:8] == [[False, True], [True, False]] * 2 + [[True, False]] * 2 + [[False, True], [True, False]]
    assert outcome(run_tensor, tinycnn)[0] == [False, False]
    assert outcome(run_grad, tinycnn)[2][1] is None
    assert outcome(run_grad, tinycnn)[3][1][0].tolist() == [0, 0]
    weights, _, gradient = outcome(run_step_in_the_backward_pass, tinycnn)
    assert gradient is None
    assert (weights[0] != x).all()
    assert outcome(run_anomaly_modes, tinycnn) == [
        False, True, False, False, False, True, False, False, False, False, False, True, False
    ]  # fmt: skip
    assert outcome(run_modules, tinycnn) == [[True] * 4, [True] * 3]


# --- what only tinycnn can be asked -----------------------------------------------------------------------


def test_errors_say_what_was_expected():
    x = leaf(tinycnn, 3)
    for call, kind, message in [
        (lambda: autograd.grad(x.sum(), x, is_grads_batched=True), ValueError, "grad: expected is_grads_batched="),
        (lambda: autograd.backward([x * 2, x], [x]), RuntimeError, "backward: expected 2 grad_tensors"),
        (lambda: autograd.backward("x"), TypeError, "backward: expected tensors as a Tensor or a sequence of"),
        (lambda: autograd.backward(x.sum(), inputs=3), TypeError, "backward: expected inputs as a Tensor or"),
        (lambda: autograd.Variable(3), TypeError, "Variable: expected a Tensor, got int"),
        (lambda: autograd.profiler, AttributeError, "tinycnn.autograd has no profiler: use cProfile"),
        (lambda: autograd.forward_ad, AttributeError, "tinycnn.autograd has no forward_ad: grad"),
        (lambda: autograd.graph, AttributeError, "tinycnn.autograd has no graph: saved_"),
        (lambda: autograd.nothing, AttributeError, "tinycnn.autograd has no nothing"),
        (lambda: autograd.set_detect_anomaly(1), TypeError, "set_detect_anomaly: expected mode as True or False"),
    ]:  # fmt: skip
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value).startswith(message)


def test_a_leaf_has_one_accumulating_node_at_a_time():
    x = leaf(tinycnn, 3)
    node = (x * 2).grad_fn.next_functions[0][0]
    assert node is (x + x).grad_fn.next_functions[1][0]
    assert (repr(node), node.name(), type(node)) == ("<AccumulateGrad>", "AccumulateGrad", AccumulateGrad)
    known = len(AccumulateGrad._known)
    del node
    assert len(AccumulateGrad._known) == known - 1


def test_a_name_is_text_and_a_method():
    node = (leaf(tinycnn, 3) * 2).grad_fn
    assert node.name == node.name() == "Mul"
    assert repr(node) == "<Mul>"


def test_another_tensor_of_the_same_history_does_not_keep_its_gradient():
    h = leaf(tinycnn, 3) * 2
    other = copy.copy(h)
    h.retain_grad()
    assert (h.retains_grad, other.retains_grad) == (True, False)


def test_a_variable_leaves_its_tensor_as_it_is():
    x = tinycnn.ones(3)
    assert autograd.Variable(x, requires_grad=True).requires_grad
    assert not x.requires_grad
    assert not (leaf(tinycnn, 3) * 2).detach_().requires_grad


def test_inference_mode_is_that_of_a_thread():
    seen = []
    with tinycnn.inference_mode():
        thread = threading.Thread(target=lambda: seen.append(tinycnn.is_inference_mode_enabled()))
        thread.start()
        thread.join()
        assert tinycnn.is_inference_mode_enabled()
    assert seen == [False]


def test_tensors_of_inference_mode_are_like_others():
    with tinycnn.inference_mode():
        x = tinycnn.ones(2)
    y = x.requires_grad_() * 2
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]
