"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinycnn import backend
from tinycnn.autograd import enable_grad, wrap
from tinycnn.backend import Array
from tinycnn.checks import check_choice, check_not_negative, check_positive
from tinycnn.optim.line_search import Point, strong_wolfe
from tinycnn.optim.optimizer import Optimizer, Params, options_of


class LBFGS(Optimizer):
    """L-BFGS: steps against the gradient times an estimate of the inverse Hessian, made of the last few steps.

    Each `step(closure)` takes up to `max_iter` of them, and calls the closure, which computes the loss and its
    gradients anew, once for each.

    Args:
        params: the parameters, one group of them, all on one device.
        lr: factor of the steps, at least 0. Default 1.
        max_iter: steps in one call, at least 1. Default 20.
        max_eval: most calls of the closure. Default: max_iter · 5 / 4.
        tolerance_grad: stop where no gradient is larger. Default 1e-7.
        tolerance_change: stop where neither a parameter nor the loss changes by more. Default 1e-9.
        history_size: steps of which the estimate is made, at least 1. Default 100.
        line_search_fn: "strong_wolfe" searches for the length of each step, and calls the closure several times for it.
            Default None: the length is `lr`.

    Raises: see `Optimizer`; also ValueError for several groups, TypeError without a closure.

    Source: Liu, Nocedal, "On the limited memory BFGS method for large scale optimization" (Mathematical Programming
    45, 1989), algorithm 2.1, with the steps of torch.
    """

    _is_flat = True

    def __init__(
        self, params: Params, lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ):  # fmt: skip
        options = options_of(locals())
        for name in ("max_iter", "history_size"):
            check_positive("LBFGS", name, options[name])
        options["max_eval"] = max_iter * 5 // 4 if max_eval is None else check_positive("LBFGS", "max_eval", max_eval)
        super().__init__(params, options)
        if len(self.param_groups) != 1:
            raise ValueError(f"LBFGS: expected one group of parameters, got {len(self.param_groups)}")

    def _check_options(self, options: dict[str, Any]) -> None:
        for name in ("lr", "tolerance_grad", "tolerance_change"):
            check_not_negative("LBFGS", name, options[name])
        if options["line_search_fn"] is not None:
            check_choice("LBFGS", "line_search_fn", options["line_search_fn"], ("strong_wolfe",))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes up to `max_iter` steps.

        Args:
            closure: computes the loss and its gradients, and returns the loss, which is returned for the first call.
        """
        if closure is None:
            raise TypeError("LBFGS.step: expected a closure that computes the loss and its gradients, got None")
        closure, options = enable_grad()(closure), self.param_groups[0]
        state = self.state[options["params"][0]]
        first_loss = closure()
        loss, calls = float(first_loss), 1
        grad = self._gradient()
        state["func_evals"] = state.get("func_evals", 0) + calls
        if abs(grad).max() <= options["tolerance_grad"]:
            return first_loss
        for i in range(1, options["max_iter"] + 1):
            state["n_iter"] = state.get("n_iter", 0) + 1
            direction = self._direction(state, grad, options["history_size"])
            size = float(options["lr"])
            if state["n_iter"] == 1:
                size *= min(1.0, 1.0 / float(abs(grad).sum()))
            state.update(d=wrap(direction), t=size, prev_flat_grad=wrap(grad))
            slope = float(grad @ direction)
            if slope > -options["tolerance_change"]:
                break
            last_loss, before = loss, calls
            if options["line_search_fn"] is not None:
                start = Point(0.0, loss, grad, slope)
                found, more = self._searched(closure, start, direction, size, options["max_eval"] - calls)
                size, loss, grad, _ = found
                state["t"], calls = size, calls + more
            self._add(direction * size)
            if options["line_search_fn"] is None and i < options["max_iter"]:
                loss = float(closure())
                grad, calls = self._gradient(), calls + 1
            state["func_evals"] += calls - before
            change = max(float(abs(direction * size).max()), 0.0)
            is_flat = abs(grad).max() <= options["tolerance_grad"]
            stands = change <= options["tolerance_change"] or abs(loss - last_loss) < options["tolerance_change"]
            if calls >= options["max_eval"] or is_flat or stands:
                break
        return first_loss

    def _searched(
        self, closure: Callable[[], Any], start: Point, direction: Array, size: float, most_calls: int
    ) -> tuple[Point, int]:
        """Where a line search in a direction ends, and its calls of the closure. The parameters stay as they are."""
        params = self.param_groups[0]["params"]
        former = [param._array.copy(order="K") for param in params]

        def evaluate(t: float) -> Point:
            self._add(direction * t)
            loss, grad = float(closure()), self._gradient()
            for param, values in zip(params, former, strict=True):
                param._array[...] = values
                param._changed_in_place()
            return Point(t, loss, grad, float(grad @ direction))

        return strong_wolfe(evaluate, start, size, float(abs(direction).max()), 1e-9, most_calls)

    def _direction(self, state: dict[str, Any], grad: Array, history_size: int) -> Array:
        """−H · grad, by the two loops over the last steps s and the changes y of the gradient that they made."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], H_diag=1.0)
            return -grad
        changes, steps = state["old_dirs"], state["old_stps"]
        y = grad - state["prev_flat_grad"]._array
        s = state["d"]._array * state["t"]
        curvature = float(y @ s)
        if curvature > 1e-10:
            if len(changes) == history_size:
                del changes[0], steps[0]
            changes.append(wrap(y))
            steps.append(wrap(s))
            state["H_diag"] = curvature / float(y @ y)
        pairs = [(y._array, s._array, 1.0 / float(y._array @ s._array)) for y, s in zip(changes, steps, strict=True)]
        q, shares = -grad, []
        for y, s, inverse in reversed(pairs):
            shares.append(float(s @ q) * inverse)
            q = q - y * shares[-1]
        q = q * state["H_diag"]
        for (y, s, inverse), share in zip(pairs, reversed(shares), strict=True):
            q = q + s * (share - float(y @ q) * inverse)
        return q

    def _gradient(self) -> Array:
        """All gradients as one vector; 0 where there is none."""
        params = self.param_groups[0]["params"]
        xp = backend.array_module(params[0]._array)
        parts = [xp.zeros_like(p._array) if p._grad is None else p._grad._array for p in params]
        return xp.concatenate([part.reshape(-1) for part in parts])

    def _add(self, change: Array) -> None:
        """Adds a vector to the parameters, each of which gets its part."""
        begun = 0
        for param in self.param_groups[0]["params"]:
            size = param._array.size
            param._array += change[begun : begun + size].reshape(param._array.shape)
            param._changed_in_place()
            begun += size
