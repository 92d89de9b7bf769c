"""Step 15: grouped and depthwise convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.drawing import normal
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray

GROUPED, DEPTHWISE = "groups", "depthwise"

# (N, C, H, W), (O, KH, KW), stride, padding, dilation, groups
GROUPS = {
    GROUPED: [
        ((1, 2, 2, 3), (2, 1, 2), 1, 0, 1, 2),
        ((1, 4, 2, 3), (2, 2, 2), 1, 0, 1, 2),
        ((2, 4, 5, 4), (6, 2, 3), 2, 1, 1, 2),
        ((2, 6, 6, 7), (6, 3, 2), 1, 1, 2, 3),
        ((2, 3, 4, 5), (2, 2, 3), 1, 1, 1, 1),
    ],
    DEPTHWISE: [
        ((1, 2, 2, 2), (4, 1, 2), 1, 0, 1, 2),
        ((2, 3, 5, 6), (3, 3, 2), 2, 1, 1, 3),
        ((2, 3, 6, 5), (6, 2, 3), 1, 2, 2, 3),
    ],
}


def draw_grouped(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, rows in GROUPS.items():
            for size, (O, KH, KW), S, P, D, groups in rows:
                small = size[0] == 1
                x, w = normal(rng, *size, small=small), normal(rng, O, size[1] // groups, KH, KW, small=small)
                b, how, upstream = normal(rng, O, small=small), (S, P, D, groups), {}
                if backward:
                    upstream = {"grad_output": normal(rng, *grouped(x, w, b, *how).shape, small=small)}
                geometry = dict(zip(("stride", "padding", "dilation", "groups"), how))
                cases.append(Case(level, {**upstream, "x": x, "w": w, "b": b, **geometry}))
        return cases

    return draw


def grouped(x: Array, w: Array, b: Array, stride: int, padding: int, dilation: int, groups: int) -> Array:
    return reference.conv_nd(x, w, b, stride, padding, dilation, groups)


def grouped_gradients(grad_output, x, w, b, stride, padding, dilation, groups):
    return reference.conv_nd_backward(grad_output, x, w, stride, padding, dilation, groups)


def dealt(n: int, groups: int) -> Array:
    """The order in which cards are dealt to `groups` players: 0, groups, 2·groups, .., 1, groups + 1, .."""
    return np.arange(n).reshape(-1, groups).T.ravel()


def grouped_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("y", name, lambda x, w, b, stride, padding, dilation, groups: compute(
            x, w, b, stride, padding, dilation, groups), passages.GROUPS)  # fmt: skip

    return [
        mistake("input channel c is put into the group c mod groups: the groups are blocks of neighbours",
                lambda x, w, b, *g: grouped(x[:, dealt(x.shape[1], g[-1])], w, b, *g)),
        mistake("output channel o is put into the group o mod groups: the groups are blocks of neighbours",
                lambda x, w, b, *g: unshuffled(grouped(x, w[(d := dealt(len(w), g[-1]))], b[d], *g), d)),
        mistake("the outputs of the groups are interleaved: concatenate them",
                lambda x, w, b, *g: grouped(x, w, b, *g)[:, np.argsort(dealt(len(w), g[-1]))]),
        mistake("group g gets every groups-th input channel, kernel and bias, from g on: it gets neighbours",
                lambda x, w, b, *g: grouped(x[:, dealt(x.shape[1], g[-1])], w[(d := dealt(len(w), g[-1]))], b[d], *g)),
        mistake("the bias is missing", lambda x, w, b, *g: grouped(x, w, 0 * b, *g)),
        mistake("every group sees the channels of the first one",
                lambda x, w, b, *g: grouped(np.tile(x[:, : w.shape[1]], (1, g[-1], 1, 1)), w, b, *g)),
        mistake("every group has the kernels of the first one",
                lambda x, w, b, *g: grouped(x, first_of(w, g[-1]), b, *g)),
        mistake("every group has the bias of the first one", lambda x, w, b, *g: grouped(x, w, first_of(b, g[-1]), *g)),
        mistake("the stride is ignored", lambda x, w, b, S, *g: grouped(x, w, b, 1, *g)),
        mistake("the padding is ignored", lambda x, w, b, S, P, *g: grouped(x, w, b, S, 0, *g)),
        mistake("the dilation is ignored", lambda x, w, b, S, P, D, groups: grouped(x, w, b, S, P, 1, groups)),
        mistake("only the first group is computed", lambda x, w, b, *g: grouped(x, w, b, *g)[:, : len(w) // g[-1]]),
        mistake("the outputs of the groups are added up: they stand side by side", lambda x, w, b, *g: sum(
            np.split(grouped(x, w, b, *g), g[-1], axis=1))),
    ]  # fmt: skip


def unshuffled(y: Array, order: Array) -> Array:
    result = np.empty_like(y)
    result[:, order] = y
    return result


def first_of(a: Array, groups: int) -> Array:
    """The first group's part of `a`, for every group."""
    return np.concatenate([a[: len(a) // groups]] * groups)


def grouped_gradient_mistakes() -> list[Mistake]:
    def mistakes(index: int, rows: list[tuple[str, Callable[..., Any]]]) -> list[Mistake]:
        def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
            return Mistake(
                ("dx", "dw", "db")[index], name,
                lambda grad_output, x, w, b, stride, padding, dilation, groups: compute(
                    grad_output, x, w, b, stride, padding, dilation, groups),
                passages.GROUPS,
            )  # fmt: skip

        shared = [
            ("the upstream gradient is ignored (as if it were all ones)",
             lambda g, *a: grouped_gradients(np.ones_like(g), *a)[index]),
            ("averaged over the batch: the gradient is a sum", lambda g, *a: grouped_gradients(g, *a)[index] / len(g)),
            ("output channel o is put into the group o mod groups: the groups are blocks of neighbours",
             lambda g, *a: grouped_gradients(g[:, dealt(g.shape[1], a[-1])], *a)[index]),
            ("every group gets the upstream gradient of the first one", lambda g, *a: grouped_gradients(
                np.concatenate([g[:, : g.shape[1] // a[-1]]] * a[-1], axis=1), *a)[index]),
        ]  # fmt: skip
        return [mistake(*row) for row in shared + rows]

    def overwritten(g, x, w, b, *how):
        """dx of a loop over the output channels with = instead of +=."""
        dx, of_group = np.zeros_like(x), len(w) // how[-1]
        for o in range(len(w)):
            one = np.zeros_like(g)
            one[:, o] = g[:, o]
            channels = slice(o // of_group * w.shape[1], (o // of_group + 1) * w.shape[1])
            dx[:, channels] = grouped_gradients(one, x, w, b, *how)[0][:, channels]
        return dx

    return [
        *mistakes(0, [
            ("= instead of +=: all kernels of a group send gradients to its channels, and they add up", overwritten),
            ("the groups' gradients are added up: they stand side by side", lambda *a: sum(
                np.split(grouped_gradients(*a)[0], a[-1], axis=1))),
            ("every group has the kernels of the first one",
             lambda g, x, w, *a: grouped_gradients(g, x, first_of(w, a[-1]), *a)[0]),
        ]),
        *mistakes(1, [
            ("every group sees the channels of the first one", lambda g, x, w, *a: grouped_gradients(
                g, np.tile(x[:, : w.shape[1]], (1, a[-1], 1, 1)), w, *a)[1]),
            ("input channel c is put into the group c mod groups: the groups are blocks of neighbours",
             lambda g, x, *a: grouped_gradients(g, x[:, dealt(x.shape[1], a[-1])], *a)[1]),
            ("the groups' gradients are added up: they stand side by side", lambda *a: sum(
                np.split(grouped_gradients(*a)[1], a[-1]))),
        ]),
        *mistakes(2, [
            ("the groups' gradients are added up: they stand side by side", lambda *a: sum(
                np.split(grouped_gradients(*a)[2], a[-1]))),
            ("averaged over batch and positions: the gradient is a sum",
             lambda g, *a: g.mean(axis=(0, 2, 3))),
        ]),
    ]  # fmt: skip


STEP = Step(
    15, "grouped and depthwise convolution", "step15_grouped_conv", optional=True,
    exercises=[
        Exercise("grouped_conv_forward", ("y",), unweighted("y", levels=[*GROUPS, FLOAT32]), draw_grouped(False),
                 grouped, grouped_mistakes(), see=passages.GROUPS),
        Exercise("grouped_conv_backward", ("dx", "dw", "db"), unweighted("dx", "dw", "db", levels=[*GROUPS, FLOAT32]),
                 draw_grouped(True), grouped_gradients, grouped_gradient_mistakes(), see=passages.GROUPS),
    ],
)  # fmt: skip
