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
from rnn2vec.cli.terminal import Terminal, write_out

if TYPE_CHECKING:
    from rnn2vec.embedding.many_files import Embedded
    from rnn2vec.embedding.reading import LeftOut
    from rnn2vec.embedding.rnn2vec import Rnn2Vec

_BEGINS = {".parquet": b"PAR1", ".csv": b'"rnn","z0"'}
"""First bytes of a file of vectors, by its suffix."""


@dataclass(frozen=True, kw_only=True)
class Embed(ModelVerb):
    """Turn checkpoints of RNNs into vectors.

    Reads safetensors, PyTorch, Lightning, Stable-Baselines, Keras 3 and ONNX files. Checkpoints that cannot be read are
    named at the end and left out, and the exit code is 1. If interrupted, rerun the command with --out to resume.
    """

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files, folders of them (searched to the bottom), or folders of zoos."""
    device: str = "cpu"
    """Device to embed on, such as cuda."""
    out: Path | None = None
    """File to write, .parquet or .csv: a row for each RNN. Without it, vectors are printed as JSON lines."""

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
        if self.json:  # what an error leaves unsaid: the vectors of the others
            write_out(jsonlib.dumps({**result, "left_out": [one.problem for one in left_out]}, indent=1))
        raise DataError(
            f"{len(left_out)} of {num_files} checkpoints could not be embedded (see above)",
            remedy="mend them or leave them out.",
        )


def _said(batches: Iterable[Embedded], terminal: Terminal) -> Iterable[Embedded]:
    """Print each batch as it comes, and yield it."""
    for batch in batches:
        for name, vector in zip(batch.names, batch.vectors.tolist(), strict=True):
            terminal.say(jsonlib.dumps({"rnn": name, "vector": vector}))
        yield batch


def _require_place(out: Path) -> None:
    """Check that vectors can go to a path: a new file in a folder that exists, or a file of vectors to replace."""
    if out.suffix not in _BEGINS:
        raise UsageError(f"--out {out} ends in neither .parquet nor .csv", remedy="choose one of the two formats.")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder", remedy="make it, or give another --out.")
    if not out.exists():
        return
    if not out.is_file():
        kind = "a folder" if out.is_dir() else "not a regular file"
        raise UsageError(f"{out} exists and is {kind}; it was not touched", remedy="give another --out.")
    with out.open("rb") as file:
        if not file.read(16).startswith(_BEGINS[out.suffix]):
            raise UsageError(
                f"{out} exists and does not hold vectors of RNNs; it was not touched", remedy="give another --out."
            )
