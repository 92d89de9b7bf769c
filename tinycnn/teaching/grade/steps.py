"""All steps, in order."""

from __future__ import annotations

from tinycnn.teaching.grade import conv, lenet, optional, pool_and_loss

STEPS = [*conv.STEPS, *pool_and_loss.STEPS, lenet.STEP, *optional.STEPS]
