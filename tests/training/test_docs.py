"""The code blocks of docs/training.md run, one after the other."""

import re
import sys
import types
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_the_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logged = []
    wandb = types.SimpleNamespace(log=lambda figures, step: logged.append(step), finish=lambda: logged.append("end"))
    names = {"__name__": "docs", "wandb": wandb}
    monkeypatch.setitem(sys.modules, "docs", types.SimpleNamespace(**names))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    trainer, loader = names["trainer"], names["loader"]
    assert trainer.epoch == 5
    slowest = names["Slowest"]()
    again = names["Trainer"](names["model"], names["optimizer"], callbacks=[slowest, names["WandB"]()])
    again.fit(loader, 1)
    assert slowest.worst > 0
    assert logged == [len(loader), "end"]
