"""`rnn2vec track`."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.cli.checkpoints import CheckpointVerb
from rnn2vec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rnn2vec.inspection.drift import Drift


@dataclass(frozen=True, kw_only=True)
class Track(CheckpointVerb):
    """How far an RNN moves along the checkpoints of one training run, with a gate for pipelines.

    Checkpoints are taken in the order of the numbers in their names. With --fail-above the exit code is 1 when the last
    one is farther from the reference than that. Behaviour is what is compared: with a probing encoder, hidden units may
    be renumbered between checkpoints.
    """

    folder: tyro.conf.Positional[Path]
    """Folder of the checkpoints."""
    model: str
    """Folder of a run or a saved model, or the name of an encoder that comes with the package."""
    reference: str | None = None
    """File name of the checkpoint that the last one is compared with; by default the one before it."""
    fail_above: float | None = None
    """Distance from the reference above which the exit code is 1."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Embed, measure, show, and judge."""
        if self.fail_above is not None and not self.fail_above > 0:
            raise UsageError(f"--fail-above {self.fail_above}", remedy="give a distance above 0.")

        from rnn2vec.embedding.many_files import embed_files, joined
        from rnn2vec.embedding.reading import checkpoint_files
        from rnn2vec.embedding.rnn2vec import Rnn2Vec
        from rnn2vec.inspection.drift import drift, in_order_of_training

        if not self.folder.is_dir():
            raise UsageError(f"{self.folder} is not a folder", remedy="give the folder of a run's checkpoints.")
        paths = in_order_of_training(checkpoint_files([self.folder]))
        rnn2vec = Rnn2Vec.from_pretrained(self.model)
        with terminal.progress("embedding") as progress:
            embedded = joined(embed_files(rnn2vec, paths, progress=progress, **self.hints))
        if embedded.left_out:
            raise embedded.left_out[0].error
        measured = drift([str(path.relative_to(self.folder)) for path in paths], embedded.vectors, self.reference)
        terminal.say(_table(measured))
        result = {
            "checkpoints": list(measured.names),
            "from_previous": measured.from_previous.tolist(),
            "from_reference": measured.from_reference.tolist(),
            "reference": measured.reference,
            "last": measured.last,
        }
        if self.fail_above is not None and measured.last > self.fail_above:
            if self.json:  # what an error leaves unsaid
                print(jsonlib.dumps(result, indent=1))  # noqa: T201
            raise Rnn2VecError(
                f"{measured.names[-1]} is {measured.last:.4f} from {measured.reference}, more than {self.fail_above:g}",
                remedy="see what changed with `rnn2vec diff`; raise --fail-above if it was meant to.",
            )
        return result


def _table(measured: Drift) -> str:
    width = max(len("checkpoint"), *map(len, measured.names))
    lines = [f"{'checkpoint':<{width}}  from the one before  from {measured.reference}"]
    rows = zip(measured.names, measured.from_previous, measured.from_reference, strict=True)
    lines += [f"{name:<{width}}  {before:19.4f}  {reference:.4f}" for name, before, reference in rows]
    return "\n".join(lines)
