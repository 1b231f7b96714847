"""`rnn2vec embed`."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec.cli.checkpoints import tell, tell_assumed
from rnn2vec.cli.model import ModelVerb
from rnn2vec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rnn2vec.embedding.many_files import Embedded
    from rnn2vec.embedding.reading import LeftOut
    from rnn2vec.embedding.rnn2vec import Rnn2Vec


@dataclass(frozen=True, kw_only=True)
class Embed(ModelVerb):
    """Turn checkpoints of RNNs into vectors.

    Reads safetensors, PyTorch, Lightning, Stable-Baselines, Keras 3 and ONNX files. A checkpoint that cannot be read is
    named at the end and left out; the others continue, and the exit code is 1. If interrupted, rerun the command with
    the same --out to resume.
    """

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files, folders of them (searched to the bottom), or folders of zoos."""
    device: str = "cpu"
    """Device to embed on, such as cuda."""
    out: Path | None = None
    """Parquet file to write: a row for each RNN. Without it, vectors are printed as JSON lines."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Embed readable checkpoints; report the rest."""
        if self.out is not None:
            _require_place(self.out)

        from rnn2vec.embedding.reading import checkpoint_files

        files = checkpoint_files(self.checkpoints)
        rnn2vec = self.rnn2vec(files).to(self.device)
        with terminal.progress("embedding") as progress:
            embedded = self._embed(rnn2vec, files, terminal, progress if len(files) > 1 else silent)
        result = {"rnns": embedded.names, "vectors": embedded.vectors.tolist()}
        result |= tell_assumed(embedded.assumed, files.companions)
        if self.out is not None and embedded.names:
            terminal.say(f"{self.out}: {len(embedded.names)} RNNs, {embedded.vectors.shape[1]} numbers each")
        if embedded.left_out:
            self._report(embedded.left_out, result, len(files))
        return result

    def _embed(self, rnn2vec: Rnn2Vec, files: list[Path], terminal: Terminal, progress: Progress) -> Embedded:
        from rnn2vec.embedding.many_files import embed_files, embed_files_to, joined

        if self.out is not None:
            return embed_files_to(self.out, rnn2vec, files, progress=progress, **self.hints)
        return joined(_said(embed_files(rnn2vec, files, progress=progress, **self.hints), terminal))

    def _report(self, left_out: list[LeftOut], result: dict[str, Any], num_files: int) -> None:
        """Raise an error that names the files left out."""
        if num_files == 1:
            raise left_out[0].error
        tell(left_out)
        if self.json:  # an error does not carry the vectors of the others
            print(jsonlib.dumps({**result, "left_out": [one.problem for one in left_out]}, indent=1))  # noqa: T201
        raise DataError(
            f"{len(left_out)} of {num_files} checkpoints could not be embedded (see above)",
            remedy="mend them or leave them out.",
        )


def _said(batches: Iterable[Embedded], terminal: Terminal) -> Iterable[Embedded]:
    """Yield the batches, and print each as it comes."""
    for batch in batches:
        for name, vector in zip(batch.names, batch.vectors.tolist(), strict=True):
            terminal.say(jsonlib.dumps({"rnn": name, "vector": vector}))
        yield batch


def _require_place(out: Path) -> None:
    """Check that a file can be written: it is new, or replaces a Parquet file."""
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder", remedy="make it, or give another --out.")
    if out.is_dir() or (out.exists() and not _is_parquet(out)):
        what = "a folder" if out.is_dir() else "not a Parquet file"
        raise UsageError(f"{out} exists and is {what}; it was not touched", remedy="give another --out.")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
