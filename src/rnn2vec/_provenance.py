"""Provenance of an artifact, written into every zoo, checkpoint and report."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path


@functools.cache
def source_commit() -> str | None:
    """Return the commit of the source checkout, with `+` when it has changes; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changes = _git(root, "status", "--porcelain", "-uno")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changes else "")


def provenance() -> dict[str, str | None]:
    """Return the versions that an artifact depends on, and the commit that made it."""
    packages = {name: _version(name) for name in ("rnn2vec", "torch", "numpy")}
    return {**packages, "commit": source_commit(), "python": platform.python_version(), "machine": platform.machine()}


def processor() -> str:
    """Return the processor's name, or its type where the system names none."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def hardware(device: str = "cpu") -> dict[str, str | int | None]:
    """Return the machine that makes an artifact: processor, number of cores, and computing device.

    Args:
        device: name of the device, as torch spells it.
    """
    name = device
    if device != "cpu":
        import torch  # noqa: PLC0415

        name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return {"processor": processor(), "cores": os.cpu_count(), "device": name}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def _version(package: str) -> str | None:
    """Return the version of an installed package; None where rnn2vec runs from its sources alone."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
