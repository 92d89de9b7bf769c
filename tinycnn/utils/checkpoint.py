"""Less memory for more time: what a part of a net keeps for its backward pass is dropped, and computed again there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinycnn import autograd, backend
from tinycnn._nested import mapped, tensors
from tinycnn.autocast_mode import Casting, anew
from tinycnn.autograd import Function, enable_grad
from tinycnn.checks import check_choice, check_flag, check_positive
from tinycnn.custom_function import JointNode, alias, has_changed, keep
from tinycnn.grad_mode import thread_mode
from tinycnn.tensor import Tensor

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True,
    context_fn: None = None, determinism_check: str = "default", debug: bool = False, early_stop: bool = True,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """function(*args, **kwargs), of which nothing is kept for the backward pass but the arguments: it runs again there.

    Args:
        function: returns Tensors, also in tuples, lists and dicts. What it changes, such as the running statistics of a
            BatchNorm, it changes again when it runs again, as in torch.
        use_reentrant: has no effect. All gradients are there in either case: torch's without it.
        preserve_rng_state: let it draw the same random numbers again. Default True.
        context_fn: must be None.
        determinism_check: "default": RuntimeError if the outputs have other shapes or dtypes when it runs again.
            "none": no check.
        debug, early_stop: have no effect.

    Raises RuntimeError, in the backward pass, if an argument or a parameter was changed in place since.
    """
    if use_reentrant is not None:
        check_flag("checkpoint", "use_reentrant", use_reentrant)
    for name, flag in (("preserve_rng_state", preserve_rng_state), ("debug", debug), ("early_stop", early_stop)):
        check_flag("checkpoint", name, flag)
    check_choice("checkpoint", "determinism_check", determinism_check, ("default", "none"))
    if not callable(function):
        raise TypeError(f"checkpoint: expected a function, got {type(function).__name__}")
    if context_fn is not None:
        raise ValueError("checkpoint: expected context_fn=None: enter contexts inside of the function")
    if not thread_mode.recording:
        return function(*args, **kwargs)
    given = tensors((args, kwargs))
    states = backend.random_states(*{x.device for x in given}) if preserve_rng_state else None
    conditions = states, thread_mode.autocast
    kept = [(x, keep(x)) for x in given]
    since = next(autograd._order)
    with anew(thread_mode.autocast):  # casts that are made outside are not among those that are made again
        result = function(*args, **kwargs)
    roots = [y._node or y for y in tensors(result) if y._requires_grad]
    if not roots:
        return result
    # It was recorded, which tells what the gradients are to reach, also what is no argument. That graph is dropped.
    _, edges = _inside(roots, since)
    kept += [(x, keep(x)) for x in edges if isinstance(x, Tensor)]
    node = _Checkpoint(list(edges))
    node.saved = function, args, kwargs, kept, conditions
    outputs: dict[int, Tensor] = {}

    def led_out(y: Tensor) -> Tensor:
        if not y._requires_grad:
            return y
        outputs[len(outputs)] = y = alias(y)
        return y

    result = mapped(led_out, result)
    node.lead_out(outputs)
    node.like = [(y.shape, y.dtype) for y in outputs.values()] if determinism_check == "default" else None
    if thread_mode.anomaly is not None:
        thread_mode.anomaly.forward(node, [], None)
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """The functions (a Sequential or a sequence) one after the other, in `segments` parts of as many functions each.

    Each part but the last, which takes the rest, is a `checkpoint`. ValueError if there are fewer functions.
    """
    check_positive("checkpoint_sequential", "segments", segments)
    functions = list(functions)
    if segments > len(functions):
        raise ValueError(f"checkpoint_sequential: expected segments of at most {len(functions)}, got {segments}")
    size = len(functions) // segments
    last = size * (segments - 1)
    options: dict[str, Any] = {"use_reentrant": use_reentrant, "preserve_rng_state": preserve_rng_state}
    for start in range(0, last, size):
        input = checkpoint(_run, functions[start : start + size], input, **options)
    return _run(functions[last:], input)


def _run(functions: Sequence[Callable], x: Any) -> Any:
    for function in functions:
        x = function(x)
    return x


class _Checkpoint(JointNode):
    """The node of a `checkpoint`. Its edges lead to all that the function's outputs depend on."""

    like: list[Any] | None = None

    def __init__(self, edges: list[Any]):
        super().__init__("checkpoint", edges)
        self.begins = edges  # which stay when an outer checkpoint changes `edges` for a while

    def backward(self, grad_output: Tensor) -> tuple:
        create_graph, needs = thread_mode.recording, self.needs_input_grad
        function, args, kwargs, kept, conditions = self.saved
        for x, mark in kept:
            if has_changed(x, mark):
                raise self._changed_in_place(f"an argument or a parameter of shape {tuple(x.shape)}")
        since = next(autograd._order)
        with enable_grad(), _again(*conditions):
            outputs = [y for y in tensors(function(*args, **kwargs)) if y._requires_grad]
        found = [(y.shape, y.dtype) for y in outputs]
        if self.like is not None and found != self.like:
            raise RuntimeError(
                f"checkpoint: expected the same outputs when the function runs again, {_listed(self.like)}, "
                f"got {_listed(found)}"
            )
        roots = [y._node or y for y in outputs]
        nodes, _ = _inside(roots, since)
        # The walk is to end where the function's own graph ends; with create_graph, that graph goes on afterwards.
        ends = {edge: _End(edge) for edge in self.begins}
        edges = [node.edges for node in nodes]
        try:
            for node in nodes:
                node.edges = [ends.get(edge, edge) for edge in node.edges]
            upstream = [(ends.get(roots[i], roots[i]), g) for i, g in self.gradients(grad_output).items()]
            wanted = {end for end, needed in zip(ends.values(), needs) if needed}
            table = autograd._walk(upstream, wanted, create_graph, create_graph)
        finally:
            for node, before in zip(nodes, edges):
                node.edges = before
        return tuple([table.get(end) for end in ends.values()])


class _End(Function):
    """Stands, in a walk, for what lies outside of the function."""

    order = -1

    def __init__(self, edge: Any):
        self.edges, self._output_type = [], autograd._type_of(edge)


def _inside(roots: Sequence[Any], since: int) -> tuple[list[Function], dict[Any, None]]:
    """The nodes from which the roots were computed that were recorded after the node `since`, and, in a fixed order,
    what these begin with: older nodes and leaves."""
    nodes: list[Function] = []
    outside: dict[Any, None] = {}
    seen, found = {None}, list(roots)
    for edge in found:  # which grow
        if edge not in seen:
            seen.add(edge)
            if isinstance(edge, Function) and edge.order > since:
                nodes.append(edge)
                found.extend(edge.edges)
            else:
                outside[edge] = None
    return nodes, outside


@contextmanager
def _again(states: dict | None, casting: Casting | None) -> Iterator[None]:
    """A block that draws the random numbers, and casts operands as by the `autocast`, of before."""
    with anew(casting):
        if states is None:
            yield
            return
        present = backend.random_states()
        try:
            backend.set_random_states(states)
            yield
        finally:
            backend.set_random_states(present)


def _listed(outputs: Sequence[Any]) -> str:
    return " and ".join(f"{tuple(shape)} {dtype}" for shape, dtype in outputs) or "none"
