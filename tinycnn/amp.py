"""Automatic mixed precision: products of 16-bit numbers, and a loss scaled so that their gradients do not vanish."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn.backend.precision import autocast
from tinycnn.tensor import Tensor

__all__ = ["GradScaler", "autocast"]


class GradScaler:
    """Multiplies the loss by a factor, so that gradients are large enough for float16, and divides them by it again.

        scaler = tinycnn.amp.GradScaler()
        with tinycnn.autocast(dtype="float16"):
            loss = cross_entropy(model(images), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    A step whose gradients are infinite or nan is left out and the factor made smaller; after `growth_interval` steps
    without, it is made larger. All of this happens on the device: the host never waits, and the step can be captured.

    Args:
        device: of the parameters; "cuda" by default, as in torch.
        init_scale: the first factor. Default 65536.
        growth_factor: what the factor is multiplied by when it grows. Default 2.
        backoff_factor: what it is multiplied by after a step that was left out. Default 0.5.
        growth_interval: steps without one left out before it grows. Default 2000.
        enabled: False makes all methods do what they would without a scaler. Default True.

    Source: Micikevicius et al., "Mixed precision training" (ICLR 2018), section 3.2.
    """

    def __init__(
        self,
        device: Any = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if not init_scale > 0:
            raise ValueError(f"GradScaler: expected init_scale above 0, got {init_scale!r}")
        if not growth_factor > 1:
            raise ValueError(f"GradScaler: expected growth_factor above 1, got {growth_factor!r}")
        if not 0 < backoff_factor < 1:
            raise ValueError(f"GradScaler: expected backoff_factor between 0 and 1, got {backoff_factor!r}")
        if isinstance(growth_interval, bool) or not isinstance(growth_interval, int) or growth_interval < 1:
            raise ValueError(f"GradScaler: expected growth_interval as an int of at least 1, got {growth_interval!r}")
        self.growth_factor, self.backoff_factor, self.growth_interval = growth_factor, backoff_factor, growth_interval
        self.enabled = enabled
        if not enabled:
            return
        # On the device, and written in place only: a captured step keeps their addresses.
        target = backend.device(device)
        xp = backend.module_of(target)
        self._scale = xp.full((), init_scale, "float32")
        self._inverse = xp.full((), 1 / init_scale, "float32")
        self._found_inf = xp.zeros((), "float32")
        self._good_steps = xp.zeros((), "int32")
        self._one = xp.ones((), "float32")
        self._unscaled: set[int] = set()  # the optimizers whose gradients `unscale_` has divided already

    def scale(self, loss: Tensor) -> Tensor:
        """loss times the factor, for `backward()`."""
        return loss * Tensor._wrap(self._scale.astype(loss.dtype)) if self.enabled else loss

    def unscale_(self, optimizer: Any) -> None:
        """Divides the optimizer's gradients by the factor, in place: before they are clipped, say."""
        if not self.enabled:
            return
        if id(optimizer) in self._unscaled:
            raise RuntimeError("GradScaler.unscale_: called a second time for this optimizer before update()")
        self._look_for_infinity(optimizer)
        grads = _gradients(optimizer)
        if grads:
            backend.kernels(self._scale).scale_all([grad._array for grad in grads], self._inverse)
        for grad in grads:
            grad._changed_in_place()
        self._unscaled.add(id(optimizer))

    def step(self, optimizer: Any) -> None:
        """`optimizer.step()` with the gradients divided by the factor; nothing changes if one is not finite."""
        if not self.enabled:
            optimizer.step()
            return
        if id(optimizer) not in self._unscaled:
            self._look_for_infinity(optimizer)
        factor = self._one if id(optimizer) in self._unscaled else self._inverse
        optimizer.found_inf, optimizer.grad_scale = Tensor._wrap(self._found_inf), Tensor._wrap(factor)
        try:
            optimizer.step()
        finally:
            optimizer.found_inf = optimizer.grad_scale = None

    def update(self) -> None:
        """Makes the factor smaller or larger, after the steps of all optimizers."""
        if not self.enabled:
            return
        xp = backend.array_module(self._scale)
        found = self._found_inf > 0
        good = xp.where(found, 0, self._good_steps + 1)
        grows = good >= self.growth_interval
        factor = xp.where(found, self.backoff_factor, xp.where(grows, self.growth_factor, 1.0))
        self._good_steps[...] = xp.where(grows, 0, good)
        self._scale[...] = self._scale * factor
        self._inverse[...] = 1 / self._scale
        self._found_inf[...] = 0
        self._unscaled.clear()

    def get_scale(self) -> float:
        """The factor now. Reading it makes the host wait for the device."""
        return float(self._scale) if self.enabled else 1.0

    def state_dict(self) -> dict[str, Any]:
        """The factor, how it changes, and the steps since it last did."""
        if not self.enabled:
            return {}
        return {
            "scale": float(self._scale),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "good_steps": int(self._good_steps),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned. Raises ValueError, and changes nothing, if an entry is missing."""
        if not self.enabled:
            return
        expected = ("scale", "growth_factor", "backoff_factor", "growth_interval", "good_steps")
        if missing := [name for name in expected if name not in state_dict]:
            raise ValueError(f"GradScaler.load_state_dict: expected {missing[0]!r}, got {list(state_dict)}")
        self.growth_factor, self.backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self.growth_interval = state_dict["growth_interval"]
        self._scale[...] = state_dict["scale"]
        self._inverse[...] = 1 / self._scale
        self._good_steps[...] = state_dict["good_steps"]

    def _look_for_infinity(self, optimizer: Any) -> None:
        """Sets the flag if a gradient of the optimizer is not finite."""
        xp, device, grads = backend.array_module(self._scale), backend.device_of(self._scale), _gradients(optimizer)
        for grad in grads:
            if grad.device != device:
                raise ValueError(f"GradScaler: expected gradients on {device}, got one on {grad.device}: pass device=")
        if grads:
            largest = backend.kernels(self._scale).total_norm([grad._array for grad in grads], float("inf"))
            self._found_inf[...] = xp.maximum(self._found_inf, ~xp.isfinite(largest))


def _gradients(optimizer: Any) -> list[Tensor]:
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
