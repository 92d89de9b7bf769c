"""Training: the loop, what may be added to it, and checkpoints from which it goes on with the same bits."""

from tinycnn.training.callback import Batch, Callback
from tinycnn.training.callbacks import EMA, ClipGradients, EarlyStopping, GradientNorms, Progress, StopOnNan
from tinycnn.training.checkpoint import last_checkpoint, load_checkpoint, save_checkpoint
from tinycnn.training.checkpoints import Checkpoints, Interrupted, resume
from tinycnn.training.loggers import JsonLines, PrintFigures, TensorBoard
from tinycnn.training.lr_finder import find_lr
from tinycnn.training.state import CheckpointError
from tinycnn.training.totals import correct
from tinycnn.training.trainer import Trainer

__all__ = [
    "EMA", "ClipGradients", "EarlyStopping", "GradientNorms", "Progress", "StopOnNan", "CheckpointError",
    "last_checkpoint", "load_checkpoint", "save_checkpoint", "Checkpoints", "Interrupted", "resume", "JsonLines",
    "PrintFigures", "TensorBoard", "find_lr", "Batch", "Callback", "Trainer", "correct",
]  # fmt: skip
