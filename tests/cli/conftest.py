"""A zoo that one command builds in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnn2vec.cli import main

OPTIONS = [
    "--preset", "tiny", "--runs", "3", "--steps", "20", "--hidden-size", "8", "--episodes", "20", "--rollouts", "5",
    "--runs-per-shard", "2",
]  # fmt: skip


@pytest.fixture(scope="session")
def build() -> list[str]:
    """The command line that builds it, all but `--out FOLDER`."""
    return ["zoo", "build", "formal-languages", *OPTIONS]


@pytest.fixture(scope="session")
def folder(build: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the zoo; its folder must not be changed."""
    out = tmp_path_factory.mktemp("cli") / "zoo"
    assert main([*build, "--out", str(out), "--json"]) == 0
    return out
