"""Errors that tell how to install an extra."""

import configparser
import re
from pathlib import Path

from tinycnn._extras import how_to_install

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = [path for folder in ("tinycnn", "examples", "benchmarks") for path in (REPOSITORY / folder).rglob("*.py")]


def test_both_commands_are_named():
    assert how_to_install("torch") == 'pip install "tinycnn[torch]" (from a checkout: pip install -e ".[torch]")'


def test_no_error_spells_the_command_itself():
    spelt = [path for path in SOURCES if "tinycnn[" in path.read_text(encoding="utf-8")]
    assert [path.name for path in spelt] == ["_extras.py"]


def test_every_extra_that_is_named_exists():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    named = {
        extra
        for path in SOURCES
        for extra in re.findall(r"how_to_install\([\"'](\w+)[\"']\)", path.read_text(encoding="utf-8"))
    }
    assert {"examples", "torch"} <= named
    assert named <= set(config["options.extras_require"])
