"""`rnn2vec embed`."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb
from rnn2vec.rnn.spec import CellName

if TYPE_CHECKING:
    import numpy as np

    from rnn2vec.embedding.rnn2vec import Rnn2Vec
    from rnn2vec.rnn.stack import RNNStack


@dataclass(frozen=True, kw_only=True)
class Embed(Verb):
    """Turn checkpoints of RNNs into vectors.

    A checkpoint that cannot be read is named and left out; the others go on, and the exit code is 1.
    """

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files (.safetensors, .pt, .pth), or the folder of a zoo."""
    model: str
    """Folder of a run or a saved model, or the name of an encoder that comes with the package."""
    out: Path | None = None
    """Parquet file to write: a row for each RNN. Without it, vectors are printed as JSON lines."""
    cell: CellName | None = None
    """Which cell the checkpoints hold, where shapes leave it open (tanh or ReLU)."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Embed what can be read; report the rest."""
        if not self.checkpoints:
            raise UsageError("no checkpoint was given", remedy="name at least one checkpoint file, or a zoo.")
        if self.out is not None:
            _require_place(self.out)

        from rnn2vec.embedding.rnn2vec import Rnn2Vec

        rnn2vec = Rnn2Vec.from_pretrained(self.model)
        names, stacks, failures = self._read(rnn2vec)
        vectors = rnn2vec.embed(stacks) if stacks else None
        if vectors is not None and self.out is not None:
            self._write(names, vectors)
            terminal.say(f"{self.out}: {len(names)} RNNs, {vectors.shape[1]} numbers each")
        elif vectors is not None and not self.json:
            for name, vector in zip(names, vectors.tolist(), strict=True):
                terminal.say(jsonlib.dumps({"rnn": name, "vector": vector}))
        result = {"rnns": names, "vectors": [] if vectors is None else vectors.tolist()}
        if failures:
            self._report(failures, result)
        return result

    def _report(self, failures: list[Rnn2VecError], result: dict[str, Any]) -> None:
        """Name what was left out; an error in any case."""
        if len(self.checkpoints) == 1:
            raise failures[0]
        for failure in failures:
            print(f"left out: {failure}", file=sys.stderr)  # noqa: T201
        if self.json:  # what an error leaves unsaid: the vectors of the others
            print(jsonlib.dumps({**result, "left_out": [failure.problem for failure in failures]}, indent=1))  # noqa: T201
        raise DataError(
            f"{len(failures)} of {len(self.checkpoints)} checkpoints could not be embedded (see above)",
            remedy="mend them or leave them out.",
        )

    def _read(self, rnn2vec: Rnn2Vec) -> tuple[list[str], list[RNNStack], list[Rnn2VecError]]:
        """Names and weights of the RNNs that fit the encoder, and what is wrong with the others."""
        from rnn2vec.rnn.files import load_rnn
        from rnn2vec.zoo.store import MANIFEST, Zoo

        names: list[str] = []
        stacks: list[RNNStack] = []
        failures: list[Rnn2VecError] = []
        for path in self.checkpoints:
            try:
                if (path / MANIFEST).is_file():
                    zoo = Zoo.open(path)
                    stack = zoo.rnns(range(len(zoo)))
                    stack.require_finite()
                else:
                    stack = load_rnn(path, cell=self.cell)
                rnn2vec.encoder.check(stack)
            except Rnn2VecError as error:
                problem = error.problem if str(path) in error.problem else f"{path}: {error.problem}"
                failures.append(type(error)(problem, remedy=error.remedy))
                continue
            names += [str(path)] if len(stack) == 1 else [f"{path}#{number}" for number in range(len(stack))]
            stacks.append(stack)
        return names, stacks, failures

    def _write(self, names: list[str], vectors: np.ndarray) -> None:
        import io

        import pyarrow as pa
        import pyarrow.parquet as pq

        from rnn2vec._files import write_atomically

        assert self.out is not None
        table = pa.table({"rnn": names, **{f"z{place}": column for place, column in enumerate(vectors.T)}})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        write_atomically(self.out, buffer.getvalue())


def _require_place(out: Path) -> None:
    """A new file in a folder that is there, or a Parquet file to replace."""
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder", remedy="make it, or give another --out.")
    if out.is_dir() or (out.exists() and not _is_parquet(out)):
        what = "a folder" if out.is_dir() else "not a Parquet file"
        raise UsageError(f"{out} exists and is {what}; it was not touched", remedy="give another --out.")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
