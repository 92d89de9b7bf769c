"""Where torch keeps its gradient clipping: the functions of `tinycnn.optim`."""

from tinycnn.optim.clip_grad import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
