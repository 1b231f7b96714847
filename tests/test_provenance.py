"""Provenance: known where there is a checkout and an installation, and no reason to fail where there is none."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rnn2vec import _provenance


@pytest.fixture(autouse=True)
def _ask_again() -> Iterator[None]:
    _provenance.source_commit.cache_clear()
    yield
    _provenance.source_commit.cache_clear()


def test_versions_are_those_installed() -> None:
    found = _provenance.provenance()

    assert found["torch"] == torch.__version__
    assert found["rnn2vec"] == importlib.metadata.version("rnn2vec")


def test_sources_that_are_not_installed_have_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert _provenance.provenance()["rnn2vec"] is None


@pytest.mark.parametrize(("status", "commit"), [("", "abc123"), (" M src/rnn2vec/__init__.py\n", "abc123+")])
def test_a_commit_with_changes_has_a_plus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: str, commit: str
) -> None:
    def git(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, status if "status" in command else "abc123\n")

    _pretend_checkout(monkeypatch, tmp_path)
    monkeypatch.setattr(subprocess, "run", git)
    assert _provenance.source_commit() == commit


def test_no_git_and_no_checkout_have_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    _pretend_checkout(monkeypatch, tmp_path)
    monkeypatch.setattr(subprocess, "run", no_git)
    assert _provenance.source_commit() is None

    _provenance.source_commit.cache_clear()
    (tmp_path / ".git").rmdir()
    assert _provenance.source_commit() is None


def _pretend_checkout(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / ".git").mkdir()
    monkeypatch.setattr(_provenance, "__file__", str(folder / "src" / "rnn2vec" / "_provenance.py"))
