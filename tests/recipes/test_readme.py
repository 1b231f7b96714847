"""The README: its code runs and its commands exist, at a size for tests."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from rnn2vec.cli import main
from rnn2vec.emulation import config as pretrain_config
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo import config as zoo_config
from rnn2vec.zoo.store import Zoo

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The README's rnn2vec commands, as lists of arguments."""
    lines = [line.split("  #")[0] for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("rnn2vec ")]


@pytest.fixture
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace presets by tiny ones with the same names."""
    for name in ("laptop", "tour"):
        small = dataclasses.replace(zoo_config.PRESETS["tiny"], num_runs=6, num_steps=10, backend="torch")
        monkeypatch.setitem(zoo_config.PRESETS, name, small)
        few = dataclasses.replace(pretrain_config.PRESETS[name], num_steps=2)
        monkeypatch.setitem(pretrain_config.PRESETS, name, few)


@pytest.mark.usefixtures("small_presets")
def test_the_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands(), "the README shows commands"
    save_checkpoints(tmp_path)
    for arguments in commands():
        expanded = [str(path) for argument in arguments for path in (sorted(tmp_path.glob(argument)) or [argument])]
        once = ["--export", str(tmp_path / "explored")] if arguments[0] == "explore" else []  # else it serves for ever
        assert main([*expanded, *once]) == 0, arguments
    assert (tmp_path / "vectors.parquet").is_file()
    assert (tmp_path / "demo.html").is_file()


def save_checkpoints(folder: Path) -> None:
    """Save some of the sample's RNNs as a training script would."""
    (folder / "checkpoints").mkdir()
    rnns: RNNStack = Zoo.sample("formal-languages").rnns(range(6))
    for number, module in enumerate(rnns.to_modules()):
        torch.save(module.state_dict(), folder / "checkpoints" / f"{number}.pt")


def test_the_python_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found: list[dict[str, Any]] = []
    for block in blocks("python"):
        found.append({})
        exec(compile(block, "README.md", "exec"), found[-1])
    assert [names["vectors"].shape for names in found] == [(80, 16), (3, 16)]
    assert len(found[0]["rnns"]) == 3
    assert found[1]["outputs"].shape == (3, 10, 7, 6)


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), flags=re.MULTILINE)
    assert "tour" in targets
    for target in targets:
        assert re.search(rf"^{target}\b.*:", makefile, flags=re.MULTILINE), target


def test_pages_that_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
