"""The options of programs that train."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tinycnn._command import positive, whole

FLAGS = "epochs", "batch_size", "lr", "seed"  # that take the place of settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that programs which train have in common."""
    add = parser.add_argument
    add("--device", default="cpu", help="cpu (default), gpu, cuda:N, or auto: a GPU if there is one")
    add("--precision", choices=("float32", "tf32", "bfloat16", "float16"), default="float32",
        help="tf32: of matrix products; bfloat16 and float16: mixed precision, float16 with a scaled loss")  # fmt: skip
    add("--capture", action=argparse.BooleanOptionalAction, help="record a training step on the GPU once and replay "
        "it; default on a GPU")  # fmt: skip
    add("--workers", type=lambda text: whole(text, 0, 1024), default=0, metavar="N", help="processes that make batches "
        "ahead; default 0")  # fmt: skip
    for flag in FLAGS:
        kind, text = (float, "the (highest) learning rate") if flag == "lr" else (int, f"the {flag.replace('_', ' ')}")
        add(f"--{flag.replace('_', '-')}", type=kind, metavar="X" if kind is float else "N", help=f"{text}, instead of "
            "the settings'")  # fmt: skip
    add("--data-root", type=Path, metavar="DIR", help="the folder of the data; default: $TINYCNN_DATA, or data")
    add("--out", type=Path, metavar="DIR", help="for the results, in place of a finished run's; default: runs/NAME-OF-"
        "THE-SETTINGS")  # fmt: skip
    add("--overwrite", action="store_true", help="also in place of a run that was not finished")
    add("--resume", nargs="?", type=Path, const=True, metavar="RUN", help="go on with an interrupted run, or from "
        "one of its checkpoints; default: the last one in runs/")  # fmt: skip
    add("--checkpoint-every", type=positive, metavar="N", help="steps between two checkpoints; default: one an epoch")
    add("--tensorboard", action="store_true", help="write event files for TensorBoard, too")


def flags_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line gives."""
    return {name: value for name in FLAGS if (value := getattr(options, name)) is not None}
