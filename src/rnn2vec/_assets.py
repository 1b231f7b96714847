"""Files that come with the package: models with their reference RNNs, and sample zoos."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rnn2vec._errors import unknown_name

Kind = Literal["models", "zoos"]
_ASSETS = Path(__file__).parent / "assets"


def shipped_names(kind: Kind) -> list[str]:
    """Return the names of the models or the zoos that come with the package, sorted."""
    folder = _ASSETS / kind
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def shipped_folder(kind: Kind, name: str) -> Path:
    """Return the folder of a model or a zoo that comes with the package.

    Raises:
        UsageError: if there is none of that name.
    """
    names = shipped_names(kind)
    if name not in names:
        what = "model" if kind == "models" else "zoo"
        raise unknown_name(f"{what} in the package", name, names or ["none"])
    return _ASSETS / kind / name
