"""Step 10: ReLU and the linear layer, the gradients of a whole net, and training on real digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn
from tinycnn.nn import functional as F
from tinycnn.teaching.grade.conv import normal
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake, Step

Array = np.ndarray
Arrays = dict[str, Array]

SHAPES = {
    "w1": (6, 1, 5, 5), "b1": (6,), "w2": (16, 6, 5, 5), "b2": (16,),
    "w3": (32, 64), "b3": (32,), "w4": (10, 32), "b4": (10,),
}  # fmt: skip


# --- ReLU and the linear layer ----------------------------------------------------------------------------


def draw_relu(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for size in [(2, 3), (2, 3, 4), (2, 3, 4, 5)]:
            x = rng.integers(-2, 3, size).astype(float)
            x.flat[:3] = -1, 0, 2
            upstream = {"grad_output": normal(rng, *size)} if backward else {}
            cases.append(Case("", {**upstream, "x": x}))
        return cases

    return draw


def draw_linear(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for i, (N, C, O) in enumerate([(1, 2, 2), (1, 2, 3), (2, 3, 3), (3, 4, 2)]):
            upstream = {"grad_output": normal(rng, N, O, small=i < 2)} if backward else {}
            x, w, b = normal(rng, N, C, small=i < 2), normal(rng, O, C, small=i < 2), normal(rng, O, small=i < 2)
            cases.append(Case("", {**upstream, "x": x, "w": w, "b": b}))
        return cases

    return draw


def square(w: Array) -> Array:
    if w.shape[0] != w.shape[1]:
        raise ValueError
    return w


def linear_gradients(grad_output: Array, x: Array, w: Array, b: Array) -> tuple[Array, Array, Array]:
    return (
        np.einsum("no,oc->nc", grad_output, w),
        np.einsum("no,nc->oc", grad_output, x),
        np.einsum("no->o", grad_output),
    )


def linear_gradient_mistakes() -> list[Mistake]:
    def shared(index: int, result: str) -> list[Mistake]:
        def of(compute: Callable[[Array, Array, Array, Array], Any]) -> Callable[..., Any]:
            return lambda grad_output, x, w, b: compute(grad_output, x, w, b)

        return [
            Mistake(result, "the upstream gradient is ignored (as if it were all ones)",
                    of(lambda g, *a: linear_gradients(np.ones_like(g), *a)[index])),
            Mistake(result, "averaged over the batch: the gradient is a sum",
                    of(lambda g, *a: linear_gradients(g, *a)[index] / len(g))),
        ]  # fmt: skip

    return [
        *shared(0, "dx"), *shared(1, "dw"), *shared(2, "db"),
        Mistake("dx", "w where it should be transposed, or the other way round",
                lambda grad_output, x, w, b: grad_output @ square(w).T),
        Mistake("dw", "dw is transposed: it has the shape of w, (out, in)", lambda grad_output, x, w, b: (
            x.T @ grad_output)),
        Mistake("db", "db is summed over the wrong axis: the batch is axis 0", lambda grad_output, x, w, b: (
            grad_output.sum(axis=1))),
        Mistake("db", "db is summed over the wrong axis: the batch is axis 0", lambda grad_output, x, w, b: (
            grad_output.sum())),
        Mistake("db", "db is not summed over the batch", lambda grad_output, x, w, b: grad_output),
        Mistake("db", "the gradient is missing (zeros)", lambda grad_output, x, w, b: 0 * b),
    ]  # fmt: skip


# --- the net ----------------------------------------------------------------------------------------------


def scores_of(p: dict[str, Any], images: Any) -> Any:
    """The net of step 10 in tinycnn's operators: (N, 1, 16, 16) to (N, 10)."""
    h = F.max_pool2d(F.relu(F.conv2d(images, p["w1"], p["b1"], padding=2)), 2)
    h = F.max_pool2d(F.relu(F.conv2d(h, p["w2"], p["b2"])), 2)
    h = F.relu(F.linear(h.flatten(1), p["w3"], p["b3"]))
    return F.linear(h, p["w4"], p["b4"])


def loss_and_gradients(parameters: Arrays, images: Array, labels: Array) -> tuple[float, Arrays]:
    p = {name: tinycnn.tensor(value, requires_grad=True) for name, value in parameters.items()}
    loss = F.cross_entropy(scores_of(p, tinycnn.tensor(images)), tinycnn.tensor(labels))
    gradients = tinycnn.grad(loss, tuple(p.values()))
    return loss.item(), {name: np.array(gradient.numpy()) for name, gradient in zip(p, gradients)}


def accuracy(parameters: Arrays, images: Array, labels: Array) -> float:
    with tinycnn.no_grad():
        p = {name: tinycnn.tensor(value) for name, value in parameters.items()}
        scores = scores_of(p, tinycnn.tensor(images)).numpy()
    return float((scores.argmax(1) == labels).mean())


def random_parameters(rng: np.random.Generator, dtype: str = "float64") -> Arrays:
    """Weights of variance 2 / fan_in, biases of standard deviation 0.1."""
    parameters = {}
    for name, shape in SHAPES.items():
        inputs = float(np.prod(shape[1:]))
        scale = (2 / inputs) ** 0.5 if len(shape) > 1 else 0.1
        parameters[name] = (scale * rng.standard_normal(shape)).astype(dtype)
    return parameters


def draw_net(rng: np.random.Generator) -> list[Case]:
    cases = []
    for N in (1, 3):
        images, labels = normal(rng, N, 1, 16, 16), rng.integers(0, 10, N)
        cases.append(Case("", {"parameters": random_parameters(rng), "images": images, "labels": labels}))
    return cases


# --- training ---------------------------------------------------------------------------------------------

ONE_STEP, EPOCHS, OVERFITS, LEARNS = "one step", "three steps", "100 digits by heart", "digits it has not seen"


def draw_training(rng: np.random.Generator) -> list[Case]:
    cases = []
    for level, epochs in ((ONE_STEP, 1), (EPOCHS, 3)):
        images, labels = normal(rng, 4, 1, 16, 16), rng.integers(0, 10, 4)
        cases.append(Case(level, {"parameters": random_parameters(rng), "images": images, "labels": labels,
                                  "epochs": epochs, "batch_size": 4, "lr": 0.05}))  # fmt: skip
    return cases


def trained(parameters, images, labels, epochs, batch_size, lr, accumulates=False):
    """Gradient descent with the whole set as one batch; `accumulates` leaves out zero_grad."""
    p, total = dict(parameters), {name: np.zeros_like(value) for name, value in parameters.items()}
    for _ in range(epochs):
        _, gradients = loss_and_gradients(p, images, labels)
        for name in p:
            total[name] = total[name] + gradients[name] if accumulates else gradients[name]
            p[name] = p[name] - lr * total[name]
    return p


TRAINING_MISTAKES = [
    Mistake("parameters", "the gradients of earlier steps are added up: set them to zero before each backward",
            lambda **a: trained(**a, accumulates=True)),
    Mistake("parameters", "the parameters go up the gradient: subtract it",
            lambda **a: trained(**a | {"lr": -a["lr"]})),
    Mistake("parameters", "the learning rate is ignored", lambda **a: trained(**a | {"lr": 1.0})),
    Mistake("parameters", "the parameters that came in are returned: nothing was trained",
            lambda **a: a["parameters"]),
    Mistake("parameters", "only one epoch is trained", lambda **a: trained(**a | {"epochs": 1})),
]  # fmt: skip


def digits(train: bool) -> tuple[Array, Array]:
    """Real digits of 16×16."""
    from tinycnn.data import Digits

    data = Digits(train=train, scale=2)
    return data.images, data.targets


def draw_digits(rng: np.random.Generator) -> list[Case]:
    images, labels = digits(train=True)
    parameters = random_parameters(rng, "float32")
    common: dict[str, Any] = {"parameters": parameters}
    return [
        Case(OVERFITS, {**common, "images": images[:100], "labels": labels[:100], "epochs": 30, "batch_size": 20,
                        "lr": 0.1}),
        Case(LEARNS, {**common, "images": images, "labels": labels, "epochs": 6, "batch_size": 32, "lr": 0.1}),
    ]  # fmt: skip


def judge_digits(got: Any, case: Case) -> str | None:
    """What is wrong with trained parameters: they must classify all training digits, or 80 % of the test digits.

    Correct solutions reached at least 88 % for 32 seeds of the initial parameters.
    """
    if not isinstance(got, dict):
        return "expected a dict of parameters"
    for name, shape in SHAPES.items():
        if not isinstance(got.get(name), np.ndarray) or got[name].shape != shape:
            return f"expected a dict of parameters: {name} is missing or has not the shape {shape}"
        if not np.isfinite(got[name]).all():
            return f"{name} is not finite after the training"
    overfits = case.level == OVERFITS
    images, labels = (case.arguments["images"], case.arguments["labels"]) if overfits else digits(train=False)
    right, wanted = accuracy(got, images.astype(np.float32), labels), 1.0 if overfits else 0.8
    return None if right >= wanted else f"{right:.0%} of the {case.level}, expected at least {wanted:.0%}"


STEP = Step(
    10, "a LeNet of your own pieces", "step10_lenet", may_use_tinycnn=True,
    exercises=[
        Exercise("relu_forward", ("y",), {"y": {"": 1}}, draw_relu(False), lambda x: np.where(x > 0, x, 0.0), [
            Mistake("y", "the absolute value instead of max(x, 0)", lambda x: np.abs(x)),
            Mistake("y", "the negative part instead of the positive one", lambda x: np.minimum(x, 0)),
        ]),
        Exercise("relu_backward", ("dx",), {"dx": {"": 1}}, draw_relu(True),
                 lambda grad_output, x: np.where(x > 0, grad_output, 0.0), [
            Mistake("dx", "the upstream gradient is ignored (as if it were all ones)",
                    lambda grad_output, x: np.where(x > 0, 1.0, 0.0)),
            Mistake("dx", "the mask is that of the gradient's sign, not that of x",
                    lambda grad_output, x: np.maximum(grad_output, 0)),
            Mistake("dx", "the gradient passes where x is 0: there it is 0 by convention",
                    lambda grad_output, x: np.where(x >= 0, grad_output, 0.0)),
            Mistake("dx", "multiplied by x instead of by 1 where x > 0",
                    lambda grad_output, x: np.where(x > 0, grad_output * x, 0.0)),
        ]),
        Exercise("linear_forward", ("y",), {"y": {"": 1}}, draw_linear(False),
                 lambda x, w, b: np.einsum("nc,oc->no", x, w) + b, [
            Mistake("y", "x @ w instead of x @ w.T: w is (out, in)", lambda x, w, b: x @ square(w) + b),
            Mistake("y", "the bias is missing", lambda x, w, b: x @ w.T),
        ]),
        Exercise("linear_backward", ("dx", "dw", "db"), {"dx": {"": 1}, "dw": {"": 1}, "db": {"": 1}},
                 draw_linear(True), linear_gradients, linear_gradient_mistakes()),
        Exercise("loss_and_gradients", ("loss", "gradients"), {"loss": {"": 1}, "gradients": {"": 2}}, draw_net,
                 loss_and_gradients, timeout=30),
        Exercise("train", ("parameters",), {"parameters": {ONE_STEP: 1, EPOCHS: 1}}, draw_training, trained,
                 TRAINING_MISTAKES, timeout=60),
        Exercise("train", ("parameters",), {"parameters": {OVERFITS: 2, LEARNS: 2}}, draw_digits,
                 judge=judge_digits, timeout=120),
    ],
)  # fmt: skip
