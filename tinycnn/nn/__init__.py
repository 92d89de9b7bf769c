"""Layers and losses."""

from typing import TYPE_CHECKING, Any

from tinycnn._absent import no_attribute as _no_attribute
from tinycnn.nn import (
    activation,
    container,
    conv,
    dropout,
    functional,
    init,
    linear,
    loss,
    module,
    norm,
    pool,
    shape,
    utils,
)
from tinycnn.nn.activation import *
from tinycnn.nn.container import *
from tinycnn.nn.conv import *
from tinycnn.nn.dropout import *
from tinycnn.nn.linear import *
from tinycnn.nn.loss import *
from tinycnn.nn.module import *
from tinycnn.nn.norm import *
from tinycnn.nn.pool import *
from tinycnn.nn.shape import *

__all__ = ["functional", "init", "utils"]  # the layers are listed where they are defined
__all__ += activation.__all__
__all__ += container.__all__
__all__ += conv.__all__
__all__ += dropout.__all__
__all__ += linear.__all__
__all__ += loss.__all__
__all__ += module.__all__
__all__ += norm.__all__
__all__ += pool.__all__
__all__ += shape.__all__

if not TYPE_CHECKING:  # to type checkers, what is not defined is not there

    def __getattr__(name: str) -> Any:
        raise _no_attribute("tinycnn.nn", name)
