"""Work in several threads that give way to each other as often as they can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any


def side_by_side(*works: Callable[[], Any]) -> None:
    """Runs each of `works` in a thread of its own, and waits for all."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
