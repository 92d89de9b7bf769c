"""Products with Jacobians and Hessians, and these matrices themselves: `tinycnn.autograd.functional`.

`func` maps Tensors to a Tensor or a tuple of them; `inputs` are a Tensor or a tuple of them, as are `v` and the
results. J is the matrix of derivatives of the outputs (rows) by the inputs (columns), H that of the second derivatives
of a single number.

Everything stands on `grad`: vᵀJ is what a backward pass computes, and Jv is the gradient of vᵀJ, which is linear in v,
with respect to v.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinycnn.autograd import enable_grad, grad
from tinycnn.checks import check_flag, shortened
from tinycnn.creation import ones_like, zeros, zeros_like
from tinycnn.ops.shape import stack
from tinycnn.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


def vjp(
    func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """(func(*inputs), vᵀJ): what a backward pass gives for the upstream gradients `v`.

    Args:
        func: maps the inputs to a Tensor or a tuple of them.
        inputs: a Tensor or a tuple of them.
        v: of the outputs' shapes; may be left out for a single number.
        create_graph: let the results be differentiated again. Default False.
        strict: RuntimeError, instead of zeros, for an output that does not depend on the inputs. Default False.
    """
    with enable_grad():
        call = _Call("vjp", func, inputs, create_graph, strict)
        vectors = call.vectors(v, call.outputs)
        products = call.gradients(call.outputs, call.inputs, vectors, create_graph)
    return call.left(call.outputs, call.one_output), call.left(products, call.one_input)


def jvp(
    func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """(func(*inputs), Jv): the outputs, and how they change as the inputs move along `v`.

    The arguments are those of `vjp`, but `v` has the inputs' shapes.
    """
    with enable_grad():
        call = _Call("jvp", func, inputs, create_graph, strict)
        vectors = call.vectors(v, call.inputs)
        upstream = tuple([zeros_like(y, requires_grad=True) for y in call.outputs])
        linear = call.gradients(call.outputs, call.inputs, upstream, create_graph=True)
        products = call.gradients(linear, upstream, vectors, create_graph)
    return call.left(call.outputs, call.one_output), call.left(products, call.one_output)


def vhp(
    func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """(func(*inputs), vᵀH) of a `func` that gives a single number. The arguments are those of `jvp`."""
    with enable_grad():
        call = _Call("vhp", func, inputs, create_graph, strict, number=True)
        vectors = call.vectors(v, call.inputs)
        first = call.gradients(call.outputs, call.inputs, None, create_graph=True)
        products = call.gradients(first, call.inputs, vectors, create_graph)
    return call.left(call.outputs, call.one_output), call.left(products, call.one_input)


def hvp(
    func: Callable[..., Any], inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """(func(*inputs), Hv): H is symmetric where the second derivatives are continuous, and Hv then is `vhp`'s vᵀH.

    It is computed as the Jv of the gradient, which is right elsewhere too. The arguments are those of `jvp`.
    """
    with enable_grad():
        call = _Call("hvp", func, inputs, create_graph, strict, number=True)
        vectors = call.vectors(v, call.inputs)
        first = call.gradients(call.outputs, call.inputs, None, create_graph=True)
        upstream = tuple([zeros_like(x, requires_grad=True) for x in call.inputs])
        linear = call.gradients(first, call.inputs, upstream, create_graph=True)
        products = call.gradients(linear, upstream, vectors, create_graph)
    return call.left(call.outputs, call.one_output), call.left(products, call.one_input)


def jacobian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """J: for an output of shape S and an input of shape T, a Tensor of shape (*S, *T).

    One backward pass an element of the outputs. With a tuple of inputs, of outputs, or of both: a tuple of Tensors for
    the inputs, for the outputs, or of tuples, [output][input].

    Args:
        func, inputs, create_graph, strict: as for `vjp`.
        vectorize: has no effect; taken for torch's sake.
        strategy: "reverse-mode" (the default); ValueError for "forward-mode".
    """
    check_flag("jacobian", "vectorize", vectorize)
    if strategy != "reverse-mode":
        raise ValueError(f"jacobian: expected strategy='reverse-mode', got {shortened(strategy)}")
    with enable_grad():
        call = _Call("jacobian", func, inputs, create_graph, strict)
        rows = [_rows(call, y, create_graph) for y in call.outputs]
    found = [call.left(row, call.one_input) for row in rows]
    return found[0] if call.one_output else tuple(found)


def _rows(call: _Call, y: Tensor, create_graph: bool) -> tuple[Tensor, ...]:
    """For each input, the derivatives of every element of `y`."""
    elements = list(y.reshape(-1)) if y.numel() else []
    gradients = [call.gradients((e,), call.inputs, None, create_graph) for e in elements]
    return tuple([
        stack([row[i] for row in gradients]).reshape(*y.shape, *x.shape) if gradients
        else zeros((*y.shape, *x.shape), dtype=x.dtype, device=x.device)
        for i, x in enumerate(call.inputs)
    ])  # fmt: skip


def hessian(
    func: Callable[..., Any], inputs: Tensors, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """H of a `func` that gives a single number: for an input of shape T, a Tensor of shape (*T, *T).

    With a tuple of inputs a tuple of tuples, [input][input]. The arguments are those of `jacobian`.
    """

    def gradient(*given: Tensor) -> Tensors:
        call = _Call("hessian", func, given, True, strict, number=True, are_own=True)
        found = call.gradients(call.outputs, given, None, create_graph=True)
        return found[0] if isinstance(inputs, Tensor) else found

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


class _Call:
    """One call of `func`, with inputs whose gradients can be asked for, and its outputs as a tuple."""

    def __init__(
        self, name: str, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool,
        number: bool = False, are_own: bool = False,
    ):  # fmt: skip
        self.name, self.strict = name, check_flag(name, "strict", strict)
        self.create_graph = check_flag(name, "create_graph", create_graph)
        self.one_input = isinstance(inputs, Tensor)
        given = self._tensors("inputs", inputs)
        # Others than the caller's: func may use those, too, as its parameters.
        self.inputs = given if are_own else tuple([self._own(x) for x in given])
        outputs = func(*self.inputs)
        self.one_output = isinstance(outputs, Tensor)
        self.outputs = self._tensors("the outputs of func", outputs)
        if number and (len(self.outputs) != 1 or self.outputs[0].numel() != 1):
            shapes = ", ".join(str(tuple(y.shape)) for y in self.outputs)
            raise RuntimeError(f"{name}: expected func to give a single number, got shape {shapes}")

    def _own(self, x: Tensor) -> Tensor:
        if self.create_graph and x.requires_grad:
            return x.reshape(x.shape)
        return x.detach().requires_grad_()

    def _tensors(self, what: str, given: Any) -> tuple[Tensor, ...]:
        tensors = (given,) if isinstance(given, Tensor) else given
        if not isinstance(tensors, (tuple, list)) or not all(isinstance(x, Tensor) for x in tensors):
            raise TypeError(f"{self.name}: expected {what} as a Tensor or a tuple of them, got {type(given).__name__}")
        return tuple(tensors)

    def vectors(self, v: Any, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """`v` as a tuple, of the shapes of `like`, to which it may be left out where that is a single number."""
        if v is None:
            if len(like) != 1 or like[0].numel() != 1:
                raise RuntimeError(f"{self.name}: expected v, which may be left out for a single number only")
            return (ones_like(like[0]),)
        vectors = self._tensors("v", v)
        found, expected = [x.shape for x in vectors], [x.shape for x in like]
        if found != expected:
            shapes = [" and ".join(str(tuple(s)) for s in each) for each in (expected, found)]
            raise RuntimeError(f"{self.name}: expected v of shape {shapes[0]}, got {shapes[1]}")
        return vectors

    def gradients(
        self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], upstream: Sequence[Tensor] | None,
        create_graph: bool,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """`grad`, with zeros (`strict`: RuntimeError) where an output does not depend on an input."""
        dependent = [i for i, y in enumerate(outputs) if y.requires_grad]
        if self.strict and len(dependent) < len(outputs):
            raise RuntimeError(f"{self.name}: an output does not depend on the inputs (strict=True)")
        found: tuple[Tensor | None, ...] = (None,) * len(inputs)
        if dependent:
            found = grad(
                [outputs[i] for i in dependent], inputs,
                None if upstream is None else [upstream[i] for i in dependent],
                retain_graph=True, create_graph=create_graph, allow_unused=True,
            )  # fmt: skip
        if self.strict and None in [g if g is None else True for g in found]:
            raise RuntimeError(f"{self.name}: the outputs do not depend on an input (strict=True)")
        return tuple([zeros_like(x) if g is None else g for g, x in zip(found, inputs)])

    def left(self, tensors: Sequence[Tensor], one: bool) -> Any:
        """What the caller is given: recorded only if asked for."""
        found = [x if self.create_graph else x.detach() for x in tensors]
        return found[0] if one else tuple(found)
