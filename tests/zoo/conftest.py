"""A zoo small enough to build in a second, and copies of it to damage."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.manifest import MANIFEST
from rnn2vec.zoo.store import Zoo

NOT_PROMISED = "build.jsonl"


@pytest.fixture(scope="session")
def config() -> ZooConfig:
    """5 runs in 3 shards, 3 snapshots each; as many rollouts as episodes."""
    return ZooConfig(
        num_runs=5, num_steps=120, hidden_size=8, num_rollouts=20, num_episodes=20, runs_per_shard=2, backend="numba"
    )


@pytest.fixture(scope="session")
def built(config: ZooConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished zoo. Read only."""
    folder = tmp_path_factory.mktemp("zoo") / "built"
    build_zoo(config, folder)
    return folder


@pytest.fixture
def zoo(built: Path) -> Zoo:
    """The finished zoo, just opened."""
    return Zoo.open(built)


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the finished zoo's folder."""
    return Path(shutil.copytree(built, tmp_path / "copy"))


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Return `digests(folder)`: checksums of all files, hidden ones included, for which equal bytes are promised.

    A commit made while the tests run does not count as a difference.
    """

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NOT_PROMISED)
        contents = {
            path: re.sub(rb'"commit": [^,]*', b"", path.read_bytes()) if path.name == MANIFEST else path.read_bytes()
            for path in files
        }
        return {str(path.relative_to(folder)): hashlib.sha256(data).hexdigest() for path, data in contents.items()}

    return of
