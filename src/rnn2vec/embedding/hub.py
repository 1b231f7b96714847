"""Packed models on the Hugging Face hub: pushed in one commit, pulled with every checksum verified, cached.

The card lists the checksum of every file of a packed model. `pull` downloads the card, then each file into a hidden
folder, and moves the folder into place when all of them match. In the cache, each commit of a repository has a folder
of its own; without a network the commit that was used last is taken.
"""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import cache_folder, read_sealed, write_atomically
from rnn2vec._hub import HubError, commit_of, download, hub_api, upload
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec.zoo.shards import checksum_of

CARD = "card.json"
"""Name of the card of a packed model."""
CARD_VERSION = 1
_STAGE = ".pull.tmp"
_LAST = "last-commit"
_FILE = re.compile(r"(index\.json|model/(config\.json|model\.safetensors)|parts/\d{5,9}\.parquet)")
_MOST_FILES = 1000
_LARGEST_FILE = 1 << 30
"""Bytes; a model of that size is not one of ours."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def is_repository(name: str) -> bool:
    """Return True if a name looks like USER/NAME of a hub."""
    return _REPOSITORY.fullmatch(name) is not None


def push_model(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    license: str | None = None,  # noqa: A002
    endpoint: str | None = None,
    progress: Progress = silent,
) -> str:
    """Upload a packed model with a README, in one commit.

    Args:
        folder: folder of the packed model; every checksum is verified first.
        repository: `"user/name"`, which is created if necessary.
        private: make a new repository private.
        license: licence for the README, in the hub's notation.
        endpoint: address of the hub; by default that in `HF_ENDPOINT`, or Hugging Face's.
        progress: callback for the start and the end of the upload.

    Returns:
        The URL of the commit.

    Raises:
        UsageError: the folder is not a packed model, huggingface_hub is not installed, or the name is invalid.
        DataError: a file is damaged.
        HubError: the hub refuses the upload or cannot be reached.
    """
    api, folder = hub_api(endpoint), Path(folder)
    card = _card(folder)
    for name, checksum in card["files"].items():
        _require_checksum(folder / name, checksum, str(folder))
    readme = _readme(card, repository.rpartition("/")[2], license).encode()
    files: dict[str, Path | bytes] = {name: folder / name for name in (CARD, *card["files"])} | {"README.md": readme}
    progress(0, 1, f"{len(files)} files to {repository}")
    url = upload(api, repository, "model", files, private=private, message="Add a model")
    progress(1, 1, "done")
    return url


def pull_model(
    repository: str,
    out: str | Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    progress: Progress = silent,
) -> Path:
    """Download a packed model.

    Args:
        repository: `"user/name"`.
        out: folder of the model, new or empty.
        revision: branch, tag or commit, the newest commit by default; all files come from one commit.
        endpoint: address of the hub; by default that in `HF_ENDPOINT`, or Hugging Face's.
        progress: callback that receives the number of files done.

    Returns:
        The folder.

    Raises:
        UsageError: the folder has other content, huggingface_hub is not installed, or the name is invalid.
        DataError: the repository is not a packed model, or a file does not match its checksum.
        HubError: the hub refuses the download or cannot be reached.
        BusyError: another process writes to the folder.
    """
    api, folder = hub_api(endpoint), Path(out)
    if (folder / CARD).exists():
        raise UsageError(f"{folder} is already a model; it was not changed", remedy="choose another folder with --out.")
    with claim(folder, marker=CARD, kind="packed model"):
        commit = commit_of(api, repository, "model", revision)
        _download_all(api, repository, commit, folder, progress)
    progress(1, 1, "done")
    return folder


def cached_model(repository: str, *, revision: str | None = None, endpoint: str | None = None) -> Path:
    """Return the folder of a packed model in the cache, downloading it if necessary.

    The cache is `rnn2vec/models` below `XDG_CACHE_HOME`, by default `~/.cache`. Without a network, the commit that was
    used last is returned, with a warning.

    Args:
        repository: `"user/name"`.
        revision: branch, tag or commit; the newest commit by default.
        endpoint: address of the hub; by default that in `HF_ENDPOINT`, or Hugging Face's.

    Raises:
        UsageError: huggingface_hub is not installed, or the name is invalid.
        DataError: the repository is not a packed model, or a file does not match its checksum.
        HubError: the hub refuses the download, or cannot be reached and the cache has no model of this name.
    """
    cache = cache_folder("models") / repository.replace("/", "--")
    note = cache / _LAST
    try:
        commit = commit_of(hub_api(endpoint), repository, "model", revision)
    except HubError as error:
        commit = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
        if not re.fullmatch(r"[0-9a-f]{7,64}", commit) or not (cache / commit / CARD).is_file():
            raise
        warnings.warn(f"{error.problem}; {repository} is taken from the cache, commit {commit[:12]}", stacklevel=2)
        return cache / commit
    folder = cache / commit
    if not (folder / CARD).is_file():
        pull_model(repository, folder, revision=commit, endpoint=endpoint)
    write_atomically(note, commit.encode())
    return folder


def _download_all(api: Any, repository: str, commit: str, folder: Path, progress: Progress) -> None:
    """Download every file to the stage, verified, and move them into place, the card last."""
    stage = folder / _STAGE
    download(api, repository, "model", commit, CARD, stage)
    files = _card(stage)["files"]
    for done, (name, checksum) in enumerate(files.items()):
        progress(done, len(files), name)
        if checksum_of(stage / name) != checksum:
            download(api, repository, "model", commit, name, stage)
        _require_checksum(stage / name, checksum, repository)
    for name in (*files, CARD):
        (folder / name).parent.mkdir(exist_ok=True)
        (stage / name).replace(folder / name)
    shutil.rmtree(stage)


def _card(folder: Path) -> dict[str, Any]:
    """Read the card of a packed model, and check the names of its files.

    Raises:
        UsageError: the folder has no card.
        DataError: the card is damaged, or names other files than those of a packed model.
    """
    path = folder / CARD
    if not path.is_file():
        raise UsageError(f"{folder} has no {CARD}", remedy="give a model that `rnn2vec pack` made.")
    card = read_sealed(path, newest=CARD_VERSION)
    files: Any = card.get("files")
    if (
        not isinstance(files, dict)
        or not 0 < len(files) <= _MOST_FILES
        or not all(_FILE.fullmatch(name) and isinstance(one, str) for name, one in files.items())
    ):
        raise DataError(
            f"{path} does not list the files of a packed model", remedy="pack the model again: `rnn2vec pack`."
        )
    return card


def _require_checksum(path: Path, checksum: str, where: str) -> None:
    is_large = path.is_file() and path.stat().st_size > _LARGEST_FILE
    if is_large or checksum_of(path) != checksum:
        raise DataError(
            f"{path.name} of {where} does not have the checksum in its {CARD}",
            remedy="restore the file or pack the model again; if it is from a hub, tell the owner of the repository.",
        )


def _readme(card: dict[str, Any], name: str, licence: str | None) -> str:
    """Return the README of a repository: front matter for the hub, and what the card says."""
    front = ["---", "library_name: rnn2vec", "tags: [rnn2vec, weight-space-learning, recurrent-neural-networks]"]
    front += [f'license: "{licence}"'] if licence else []
    losses = [
        f"| {part} | {loss['mean']:.4f} | {loss['low']:.4f} to {loss['high']:.4f} | {loss['tasks']} |"
        for part, loss in card["losses"].items()
    ]
    body = [
        f"# {name}",
        f"An encoder for [rnn2vec](https://github.com/rnn2vec/rnn2vec): it maps RNNs of {card['family']} to vectors.",
        f"`{card['encoder']}`, {card['representation_size']} numbers, {card['updates']:,} updates.",
        f"{card['distance']} between RNNs and their emulations, with 95 % bootstrap intervals over tasks:",
        "\n".join(["| part | loss | interval | tasks |", "|---|---|---|---|", *losses]),
        f'```python\nfrom rnn2vec import Rnn2Vec\n\nrnn2vec = Rnn2Vec.from_pretrained("USER/{name}")\n```',
        *card["limits"],
    ]
    return "\n".join([*front, "---", ""]) + "\n\n".join(body) + "\n"
