"""Zoos on the Hugging Face hub: push in one commit, pull with every checksum verified.

A pushed zoo is a dataset repository with the zoo's files and a README. `pull` downloads each file into a hidden folder
and moves it into place after its checksum matches the manifest; the manifest is moved last. An interrupted pull
resumes without downloading finished files again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from rnn2vec._errors import DataError, UsageError
from rnn2vec._hub import commit_of, download, hub_api, upload
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec.zoo.manifest import MANIFEST, Manifest
from rnn2vec.zoo.shards import checksum_of, damage
from rnn2vec.zoo.sharing.dataset_card import dataset_card
from rnn2vec.zoo.store import Zoo

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_STAGE = ".pull.tmp"
"""Folder for unverified downloads, below that of the zoo."""


def push(
    zoo: Zoo,
    repository: str,
    *,
    private: bool = False,
    license: str | None = None,  # noqa: A002
    endpoint: str | None = None,
    progress: Progress = silent,
) -> str:
    """Upload a finished zoo with a README, in one commit.

    Args:
        zoo: the zoo; every checksum is verified first.
        repository: `"user/name"` of a dataset, which is created if necessary.
        private: make a new repository private.
        license: licence for the README, in the hub's notation.
        endpoint: address of the hub; by default that in `HF_ENDPOINT`, or Hugging Face's.
        progress: callback for the start and the end of the upload.

    Returns:
        The URL of the commit.

    Raises:
        DataError: if the zoo is unfinished or damaged.
        HubError: if the hub refuses the upload or cannot be reached.
        UsageError: if huggingface_hub is not installed, or the repository's name is invalid.
    """
    api = hub_api(endpoint)
    _require_whole(zoo)
    names = [MANIFEST, *(name for entry in zoo.manifest.shards for name in entry.file_names.values())]
    readme = dataset_card(zoo, name=repository.rpartition("/")[2], license=license).encode()
    files: dict[str, Path | bytes] = {name: zoo.folder / name for name in names} | {"README.md": readme}
    progress(0, 1, f"{len(files)} files to {repository}")
    url = upload(api, repository, "dataset", files, private=private, message=f"Add a zoo of {len(zoo):,} RNNs")
    progress(1, 1, "done")
    return url


def _require_whole(zoo: Zoo) -> None:
    if not zoo.is_complete:
        finished, planned = len(zoo.manifest.shards), zoo.manifest.num_shards
        raise DataError(
            f"{zoo.folder} is not finished: it has {finished} of {planned} shards",
            remedy=f"rerun `rnn2vec zoo {zoo.manifest.verb}` to finish it first.",
        )
    wrong = [text for entry in zoo.manifest.shards if (text := damage(zoo.folder, entry)) is not None]
    if wrong:
        raise DataError("; ".join(wrong), remedy="restore these shards first: `rnn2vec zoo verify` shows how.")


def pull(
    repository: str,
    out: str | Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    progress: Progress = silent,
) -> Zoo:
    """Download a zoo, resuming an interrupted download.

    Args:
        repository: `"user/name"` of a dataset.
        out: folder of the zoo: new, empty, or left by an interrupted pull.
        revision: branch, tag or commit, the newest commit by default; all files come from one commit.
        endpoint: address of the hub; by default that in `HF_ENDPOINT`, or Hugging Face's.
        progress: callback that receives the number of files done.

    Raises:
        UsageError: if the folder has other content, huggingface_hub is not installed, or the repository's name is
            invalid.
        DataError: if the repository is not a complete zoo, or a file does not match its checksum in the manifest.
        HubError: if the hub refuses the download or cannot be reached.
        BusyError: if another process writes to the folder.
    """
    api, folder = hub_api(endpoint), Path(out)
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} is already a zoo; it was not changed", remedy="choose another folder with --out.")
    with claim(folder, marker=MANIFEST, kind="zoo"):
        _download_all(api, repository, revision, folder, progress)
        (folder / _STAGE / MANIFEST).replace(folder / MANIFEST)
        shutil.rmtree(folder / _STAGE)
    progress(1, 1, "done")
    return Zoo.open(folder)


def _download_all(api: HfApi, repository: str, revision: str | None, folder: Path, progress: Progress) -> None:
    """Download the manifest to the stage, and the files of every shard, verified, to their places."""
    stage = folder / _STAGE
    commit = commit_of(api, repository, "dataset", revision)
    manifest = _manifest(api, repository, commit, stage)
    names = [(name, entry.checksums[suffix]) for entry in manifest.shards for suffix, name in entry.file_names.items()]
    for done, (name, checksum) in enumerate(names):
        progress(done, len(names), name)
        place = folder / name
        if checksum_of(place) == checksum:
            continue
        download(api, repository, "dataset", commit, name, stage)
        if checksum_of(stage / name) != checksum:
            (stage / name).unlink()
            raise DataError(
                f"{name} of {repository} does not have the checksum in its {MANIFEST}",
                remedy="rerun the command; if the error persists, tell the owner of the repository.",
            )
        place.parent.mkdir(exist_ok=True)
        (stage / name).replace(place)


def _manifest(api: HfApi, repository: str, commit: str, stage: Path) -> Manifest:
    """Download the manifest and check that it describes a finished zoo."""
    download(api, repository, "dataset", commit, MANIFEST, stage)
    manifest = Manifest.read(stage)
    complete = len(manifest.shards) == manifest.num_shards
    if not complete or any(set(entry.checksums) != set(entry.file_names) for entry in manifest.shards):
        raise DataError(
            f"{repository} lists {len(manifest.shards)} of {manifest.num_shards} shards, or lacks some checksums",
            remedy="tell the owner of the repository: `rnn2vec zoo push` uploads finished zoos only.",
        )
    return manifest
