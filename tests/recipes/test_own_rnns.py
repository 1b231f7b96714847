"""The commands and the code of docs/your-own-rnns.md, executed in order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec.cli import main
from rnn2vec.zoo.store import Zoo

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "your-own-rnns.md").read_text(encoding="utf-8")


def test_the_commands_run_in_order(
    tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for link, target in (("zoos/fl", tiny_zoo.folder), ("runs/ip", tiny_run)):
        (tmp_path / link).parent.mkdir()
        (tmp_path / link).symlink_to(target)
    (tmp_path / "checkpoints").mkdir()
    for number, module in enumerate(tiny_zoo.rnns([0, 1]).to_modules()):
        torch.save(module.state_dict(), tmp_path / "checkpoints" / f"{number}.pt")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) >= 12
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command


def test_the_python_code_runs(tiny_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {
        "rnns": tiny_zoo.rnns(range(6)).to_modules(),
        "inputs": np.random.default_rng(0).integers(6, size=(4, 8)),
    }
    sizes = []
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block.replace("time_budget=600", "time_budget=0.01"), "your-own-rnns.md", "exec"), names)
        sizes.append(np.shape(names["vectors"]))
    assert sizes == [(6, 64), (6, 64)]  # so few RNNs are asked the given inputs, without learning what to ask
