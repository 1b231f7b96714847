"""The Hugging Face hub: its client, single files, and its errors as errors of this package.

`huggingface_hub` is the extra `hub`, imported on use. Its `snapshot_download` alone was rejected: an interrupted
download leaves a folder that looks complete, and it does not verify checksums.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnn2vec._errors import DataError, Rnn2VecError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RepositoryKind = Literal["dataset", "model"]


class HubError(Rnn2VecError):
    """Raised when the hub cannot be reached or refuses a request."""


def hub_api(endpoint: str | None) -> HfApi:
    """Return a client of the hub.

    Args:
        endpoint: address of the hub; by default that in `HF_ENDPOINT`, or Hugging Face's.

    Raises:
        UsageError: if huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import HfApi  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "huggingface_hub is not installed", remedy="install it: pip install 'rnn2vec[hub]'."
        ) from error
    return HfApi(endpoint=endpoint, library_name="rnn2vec")


def upload(
    api: HfApi,
    repository: str,
    kind: RepositoryKind,
    files: Mapping[str, Path | bytes],
    *,
    private: bool,
    message: str,
) -> str:
    """Upload files in one commit to a repository, which is created if necessary; return the URL of the commit.

    Raises:
        HubError: if the hub refuses the upload or cannot be reached.
        UsageError: if the repository's name is invalid.
    """
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

    added = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in files.items()
    ]
    with hub_errors(repository, kind), warnings.catch_warnings():
        # A packed model holds a table of vectors, at which the client asks whether a dataset was meant.
        warnings.filterwarnings("ignore", message=".*about to commit a data file")
        api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        return api.create_commit(repository, added, commit_message=message, repo_type=kind).commit_url


def commit_of(api: HfApi, repository: str, kind: RepositoryKind, revision: str | None) -> str:
    """Return the commit of a branch, a tag or the newest commit; errors as for `upload`."""
    with hub_errors(repository, kind):
        info = api.repo_info(repository, revision=revision, repo_type=kind)
    return str(info.sha)


def download(api: HfApi, repository: str, kind: RepositoryKind, commit: str, name: str, folder: Path) -> None:
    """Download one file of a commit to `folder / name`; errors as for `upload`."""
    with hub_errors(repository, kind):
        api.hf_hub_download(repository, name, repo_type=kind, revision=commit, local_dir=folder)


@contextlib.contextmanager
def hub_errors(repository: str, kind: RepositoryKind) -> Generator[None]:
    """Convert errors of huggingface_hub to errors of this package."""
    from huggingface_hub import errors  # noqa: PLC0415

    http_error = errors.HfHubHTTPError.__bases__[0]  # the base class belongs to the HTTP client in use
    what, verb = ("zoo", "rnn2vec zoo push") if kind == "dataset" else ("model", "rnn2vec push")
    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{repository!r} is not a repository name", remedy="give USER/NAME.") from error
    except errors.RemoteEntryNotFoundError as error:
        problem = f"{repository} is not a {what}, or incomplete: {_first_line(error)}"
        raise DataError(problem, remedy=f"give a repository that `{verb}` created.") from error
    except errors.HfHubHTTPError as error:
        raise HubError(
            f"the hub refused {repository}: {_first_line(error)}",
            remedy="check the name; private repositories and uploads need `hf auth login`.",
        ) from error
    except (http_error, errors.LocalEntryNotFoundError, ConnectionError) as error:
        problem = f"the hub cannot be reached: {_first_line(error)}"
        raise HubError(problem, remedy="check the network and rerun the command.") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
