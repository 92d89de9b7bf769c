"""How to install an extra of setup.cfg, for the errors that ask for one."""

from __future__ import annotations


def how_to_install(extra: str) -> str:
    """The pip commands that install `extra`: one for an installed tinycnn, one for a checkout.

    Double quotes work in every shell; cmd.exe would pass single ones on to pip.
    """
    return f'pip install "tinycnn[{extra}]" (from a checkout: pip install -e ".[{extra}]")'
