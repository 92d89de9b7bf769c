"""Automatic mixed precision: operators in 16 bits (`autocast`), and loss scaling against gradient underflow
(`GradScaler`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tinycnn import backend
from tinycnn.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import Integer, Number, check_flag, check_positive
from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.optim import Optimizer

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_OPTIONS = ("growth_factor", "backoff_factor", "growth_interval")


def _check_options(owner: str, growth_factor: Any, backoff_factor: Any, growth_interval: Any, **scale: Any) -> None:
    """TypeError or ValueError for options outside of their limits; `scale` is one, by its name for the caller."""
    for name, value in scale.items():
        Number(above=0, below=math.inf)(owner, name, value)
    Number(above=1, below=math.inf)(owner, "growth_factor", growth_factor)
    Number(above=0, below=1)(owner, "backoff_factor", backoff_factor)
    check_positive(owner, "growth_interval", growth_interval)


class GradScaler:
    """Loss scaling: multiplies the loss by a scale, so that float16 gradients do not underflow, and unscales them.

        scaler = tinycnn.amp.GradScaler()
        with tinycnn.autocast("cuda", dtype=tinycnn.float16):
            loss = cross_entropy(model(images), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    If a gradient is infinite or nan, the step is skipped and the scale shrinks; after `growth_interval` finite steps in
    a row the scale grows. All of this happens on the device: the host does not wait, and the step can be captured.

    Args:
        device: the device of the parameters. Default "cuda", as in torch.
        init_scale: the initial scale, above 0. Default 65536.
        growth_factor: multiplies the scale when it grows, above 1. Default 2.
        backoff_factor: multiplies the scale after a skipped step, between 0 and 1. Default 0.5.
        growth_interval: finite steps in a row before the scale grows, at least 1. Default 2000.
        enabled: False turns scaling off: losses and gradients are left as they are. Default True.

    Raises ValueError for options outside these limits, TypeError for what is no number.
    Source: Micikevicius et al., "Mixed precision training" (ICLR 2018), section 3.2.
    """

    def __init__(
        self,
        device: DeviceLike = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        _check_options("GradScaler", growth_factor, backoff_factor, growth_interval, init_scale=init_scale)
        check_flag("GradScaler", "enabled", enabled)
        self.growth_factor, self.backoff_factor, self.growth_interval = growth_factor, backoff_factor, growth_interval
        self.enabled = enabled
        if not enabled:
            return
        # On the device, and only written in place: a captured step holds their addresses.
        target = backend.device(device)
        with backend.on(target) as xp:
            self._scale = xp.full((), init_scale, "float32")
            self._inverse = xp.full((), 1 / init_scale, "float32")
            self._found_inf = xp.zeros((), "float32")
            self._good_steps = xp.zeros((), "int32")
            self._one = xp.ones((), "float32")
        self._unscaled: tuple[Optimizer, ...] = ()  # those that `unscale_` was called for since update()

    def scale(self, loss: Tensor) -> Tensor:
        """The loss times the scale, to call `backward()` on."""
        if not self.enabled:
            return loss
        _keep(self)
        return loss * wrap(self._scale.astype(loss.dtype))

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the optimizer's gradients by the scale, in place, for example to clip them before `step`.

        Raises RuntimeError on a second call before `update`, ValueError for gradients on another device.
        """
        if not self.enabled:
            return
        if self._has_unscaled(optimizer):
            raise RuntimeError("GradScaler.unscale_: called a second time for this optimizer before update()")
        if grads := self._look_for_infinity(optimizer):
            backend.kernels(self._scale).scale_all([grad._array for grad in grads], self._inverse)
        for grad in grads:
            grad._changed_in_place()
        _keep(self)
        self._unscaled += (optimizer,)

    def step(self, optimizer: Optimizer) -> None:
        """Calls `optimizer.step()` on the unscaled gradients; skips the step if one of them is infinite or nan.

        Raises ValueError for gradients on another device.
        """
        if not self.enabled:
            optimizer.step()
            return
        if not self._has_unscaled(optimizer):
            self._look_for_infinity(optimizer)
        factor = self._one if self._has_unscaled(optimizer) else self._inverse
        optimizer.found_inf, optimizer.grad_scale = wrap(self._found_inf), wrap(factor)
        try:
            optimizer.step()
        finally:
            optimizer.found_inf = optimizer.grad_scale = None

    def update(self) -> None:
        """Adjusts the scale. Call it once an iteration, after the steps of all optimizers."""
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
        _keep(self)
        self._unscaled = ()

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self.enabled

    def get_scale(self) -> float:
        """The current scale; 1 if not enabled. Makes the host wait for the device."""
        return float(self._scale) if self.enabled else 1.0

    def state_dict(self) -> dict[str, Any]:
        """The scale, the options that change it, and the finite steps since the last change; {} if not enabled."""
        if not self.enabled:
            return {}
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {"scale": float(self._scale), **options, "good_steps": int(self._good_steps)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` returned. If an entry is missing or out of its limits, raises ValueError and
        changes nothing."""
        if not self.enabled:
            return
        owner, names = "GradScaler.load_state_dict", ("scale", *_OPTIONS, "good_steps")
        if not isinstance(state_dict, dict):
            raise ValueError(f"{owner}: expected a dict, got {type(state_dict).__name__}")
        if missing := [name for name in names if name not in state_dict]:
            raise ValueError(f"{owner}: expected {missing[0]!r}, got {list(state_dict)}")
        options, good_steps = {name: state_dict[name] for name in _OPTIONS}, state_dict["good_steps"]
        _check_options(owner, **options, scale=state_dict["scale"])
        Integer(at_least=0, below=2**31)(owner, "good_steps", good_steps)
        for name in _OPTIONS:
            setattr(self, name, options[name])
        self._scale[...] = state_dict["scale"]
        self._inverse[...] = 1 / self._scale
        self._good_steps[...] = good_steps

    def _has_unscaled(self, optimizer: Optimizer) -> bool:
        _keep(self)
        return any(known is optimizer for known in self._unscaled)

    def _look_for_infinity(self, optimizer: Optimizer) -> list[Tensor]:
        """The gradients of the optimizer. Sets the flag if one is infinite or nan."""
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        xp, device = backend.array_module(self._scale), backend.device_of(self._scale)
        for grad in grads:
            if grad.device != device:
                raise ValueError(f"GradScaler: expected gradients on {device}, got one on {grad.device}: pass device=")
        if grads:
            largest = backend.kernels(self._scale).total_norm([grad._array for grad in grads], float("inf"))
            self._found_inf[...] = xp.maximum(self._found_inf, ~xp.isfinite(largest))
        return grads


def _keep(scaler: GradScaler) -> None:
    """While a step is being recorded: has the scaler live as long as the graph, and be in the same state after a
    replay."""
    if (recorded := backend.recorded()) is not None:
        recorded.rebinds(vars(scaler), "_unscaled")
        recorded.kept[id(scaler)] = scaler
