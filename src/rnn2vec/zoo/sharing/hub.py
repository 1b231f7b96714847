"""Zoos on the Hugging Face hub: push in one commit, pull what is whole.

A pushed zoo is a dataset repository with the zoo's own files and a README. Pulling trusts nothing: every file is
downloaded into a hidden folder, held to the checksum in the manifest, and only when all are right do they take their
places, the manifest last. What was downloaded before an interruption is not downloaded again.

`huggingface_hub` is the extra `hub`, imported when it is used. Its `snapshot_download` alone was rejected: an
interrupted one leaves a folder that looks like a zoo, and it checks no checksum of ours.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec._files import claim_folder
from rnn2vec._lock import only_writer
from rnn2vec._progress import Progress, silent
from rnn2vec.zoo.manifest import MANIFEST, Manifest
from rnn2vec.zoo.shards import checksum_of, damage
from rnn2vec.zoo.sharing.dataset_card import dataset_card
from rnn2vec.zoo.store import Zoo

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_STAGE = ".pull.tmp"
"""Where downloads wait until all are there; counts as a leftover, so that the folder stays ours."""


class HubError(Rnn2VecError):
    """The hub did not do what it was asked."""


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
        repository: `"user/name"` of a dataset; made when it is not there.
        private: make a new repository private.
        license: for the README, in the hub's notation.
        endpoint: address of the hub; that of `HF_ENDPOINT`, or Hugging Face's, by default.
        progress: told of the files.

    Returns:
        The address of the commit.

    Raises:
        DataError: the zoo is not finished, or damaged.
        HubError: the hub refused, or cannot be reached.
        UsageError: huggingface_hub is not installed.
    """
    api = _api(endpoint)
    _require_whole(zoo)
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

    names = [MANIFEST, *(name for entry in zoo.manifest.shards for name in entry.file_names.values())]
    readme = dataset_card(zoo, name=repository.rpartition("/")[2], license=license).encode()
    files = [CommitOperationAdd(name, str(zoo.folder / name)) for name in names]
    progress(0, 1, f"{len(files)} files to {repository}")
    with _hub_errors(repository):
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        commit = api.create_commit(
            repository,
            [*files, CommitOperationAdd("README.md", readme)],
            commit_message=f"Add a zoo of {len(zoo):,} RNNs",
            repo_type="dataset",
        )
    progress(1, 1, "done")
    return commit.commit_url


def _require_whole(zoo: Zoo) -> None:
    if not zoo.is_complete:
        there, planned = len(zoo.manifest.shards), zoo.manifest.num_shards
        raise DataError(
            f"{zoo.folder} is not finished: {there} of {planned} shards are there",
            remedy=f"let `rnn2vec zoo {zoo.manifest.verb}` go on first.",
        )
    wrong = [text for entry in zoo.manifest.shards if (text := damage(zoo.folder, entry)) is not None]
    if wrong:
        raise DataError("; ".join(wrong), remedy="make these shards again first: `rnn2vec zoo verify` says how.")


def pull(
    repository: str,
    out: str | Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    progress: Progress = silent,
) -> Zoo:
    """Download a zoo; given again after an interruption, go on.

    Args:
        repository: `"user/name"` of a dataset.
        out: the zoo's folder: new, empty, or one that an interrupted pull began.
        revision: a branch, tag or commit; the newest by default. All comes from one commit.
        endpoint: address of the hub; that of `HF_ENDPOINT`, or Hugging Face's, by default.
        progress: told of the files.

    Raises:
        UsageError: the folder holds something else, or huggingface_hub is not installed.
        DataError: what the hub holds is no zoo, or a file does not have the checksum of the zoo's manifest.
        HubError: the hub refused, or cannot be reached.
        BusyError: another process writes to the folder.
    """
    api, folder = _api(endpoint), Path(out)
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} is a zoo already; it was not touched", remedy="choose another folder with --out.")
    if not (folder / _STAGE / MANIFEST).exists():
        claim_folder(folder, marker=MANIFEST, kind="zoo")
    with only_writer(folder):
        _download_all(api, repository, revision, folder, progress)
        (folder / _STAGE / MANIFEST).replace(folder / MANIFEST)
        shutil.rmtree(folder / _STAGE)
    progress(1, 1, "done")
    return Zoo.open(folder)


def _download_all(api: HfApi, repository: str, revision: str | None, folder: Path, progress: Progress) -> None:
    """The manifest into the stage, and every shard's files, verified, into their places."""
    stage = folder / _STAGE
    with _hub_errors(repository):
        commit = str(api.dataset_info(repository, revision=revision).sha)
    manifest = _manifest(api, repository, commit, stage)
    names = [(name, entry.checksums[suffix]) for entry in manifest.shards for suffix, name in entry.file_names.items()]
    for done, (name, checksum) in enumerate(names):
        progress(done, len(names), name)
        place = folder / name
        if checksum_of(place) == checksum:
            continue
        _download(api, repository, commit, name, stage)
        if checksum_of(stage / name) != checksum:
            (stage / name).unlink()
            raise DataError(
                f"{name} of {repository} does not have the checksum in its {MANIFEST}",
                remedy="give the command again; if it stays so, tell the owner of the repository.",
            )
        place.parent.mkdir(exist_ok=True)
        (stage / name).replace(place)


def _manifest(api: HfApi, repository: str, commit: str, stage: Path) -> Manifest:
    """The manifest on the hub, if it is that of a finished zoo."""
    _download(api, repository, commit, MANIFEST, stage)
    manifest = Manifest.read(stage)
    complete = len(manifest.shards) == manifest.num_shards
    if not complete or any(set(entry.checksums) != set(entry.file_names) for entry in manifest.shards):
        raise DataError(
            f"{repository} lists {len(manifest.shards)} of {manifest.num_shards} shards, or not all their checksums",
            remedy="tell the owner of the repository: `rnn2vec zoo push` uploads finished zoos only.",
        )
    return manifest


def _download(api: HfApi, repository: str, commit: str, name: str, stage: Path) -> None:
    with _hub_errors(repository):
        api.hf_hub_download(repository, name, repo_type="dataset", revision=commit, local_dir=stage)


def _api(endpoint: str | None) -> HfApi:
    try:
        from huggingface_hub import HfApi  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "huggingface_hub is not installed", remedy="install it: pip install 'rnn2vec[hub]'."
        ) from error
    return HfApi(endpoint=endpoint, library_name="rnn2vec")


@contextlib.contextmanager
def _hub_errors(repository: str) -> Generator[None]:
    """The library's errors as ours."""
    from huggingface_hub import errors  # noqa: PLC0415

    http_error = errors.HfHubHTTPError.__bases__[0]  # that of the HTTP client, whichever it is
    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{repository!r} is no repository name", remedy="give USER/NAME.") from error
    except errors.RemoteEntryNotFoundError as error:
        what = f"{repository} is no zoo, or not a whole one: {_first_line(error)}"
        raise DataError(what, remedy="give a repository that `rnn2vec zoo push` filled.") from error
    except errors.HfHubHTTPError as error:
        raise HubError(
            f"the hub refused {repository}: {_first_line(error)}",
            remedy="check the name, and that `hf auth login` was done for a private repository or for pushing.",
        ) from error
    except (http_error, errors.LocalEntryNotFoundError, ConnectionError) as error:
        what = f"the hub cannot be reached: {_first_line(error)}"
        raise HubError(what, remedy="check the network, and give the same command again.") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
