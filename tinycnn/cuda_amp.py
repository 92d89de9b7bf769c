"""torch's former names: `amp` for a GPU, found as `tinycnn.cuda.amp`."""

from __future__ import annotations

import functools
from typing import Any

from tinycnn import amp, dtypes
from tinycnn.dtypes import DTypeLike

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):
    """`tinycnn.autocast("cuda")`, with dtype float16 unless another one is given."""

    def __init__(self, enabled: bool = True, dtype: DTypeLike = dtypes.float16, cache_enabled: bool = True):
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """`tinycnn.amp.GradScaler("cuda")`; the options are the same."""

    def __init__(self, *options: Any, **named: Any):
        super().__init__("cuda", *options, **named)


custom_fwd = functools.partial(amp.custom_fwd, device_type="cuda")
custom_bwd = functools.partial(amp.custom_bwd, device_type="cuda")
