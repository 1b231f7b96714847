"""`rnn2vec track`."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.cli.checkpoints import tell, tell_assumed
from rnn2vec.cli.model import ModelVerb
from rnn2vec.cli.table import table
from rnn2vec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rnn2vec.inspection.drift import Drift


@dataclass(frozen=True, kw_only=True)
class Track(ModelVerb):
    """Measure how far an RNN moves along the checkpoints of one training run, with a gate for pipelines.

    Checkpoints are taken in the order of the numbers in their names. With --fail-above the exit code is 1 when the last
    one is farther from the reference than that. Behaviour is what is compared: with a probing encoder, the order of
    hidden units does not matter.
    """

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoints of one run: a folder, or files and folders."""
    reference: str | None = None
    """Checkpoint that the last one is compared with, by its name in the table; by default the one before it."""
    fail_above: float | None = None
    """Distance from the reference above which the exit code is 1."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Embed, measure, show, and judge."""
        if self.fail_above is not None and not self.fail_above > 0:
            raise UsageError(f"--fail-above {self.fail_above}", remedy="give a distance above 0.")

        from rnn2vec.embedding.many_files import embed_files, joined
        from rnn2vec.embedding.reading import checkpoint_files
        from rnn2vec.inspection.drift import drift, in_order_of_training

        files = checkpoint_files(self.checkpoints)
        paths = in_order_of_training(files)
        rnn2vec = self.rnn2vec(paths)
        with terminal.progress("embedding") as progress:
            embedded = joined(embed_files(rnn2vec, paths, progress=progress, **self.hints))
        tell(embedded.left_out)
        if embedded.left_out and len(embedded.names) < 2:
            raise embedded.left_out[0].error
        measured = drift([self._short(name) for name in embedded.names], embedded.vectors, self.reference)
        terminal.say(_table(measured))
        result = {
            "checkpoints": list(measured.names),
            "from_previous": measured.from_previous.tolist(),
            "from_reference": measured.from_reference.tolist(),
            "reference": measured.reference,
            "last": measured.last,
            **tell_assumed(embedded.assumed, files.companions),
        }
        is_last_missing = any(one.path == paths[-1] for one in embedded.left_out)
        if self.fail_above is not None and is_last_missing:
            raise embedded.left_out[-1].error  # a gate must not judge an earlier checkpoint in its place
        if self.fail_above is not None and measured.last > self.fail_above:
            if self.json:  # what an error leaves unsaid
                print(jsonlib.dumps(result, indent=1))  # noqa: T201
            raise Rnn2VecError(
                f"{measured.names[-1]} is {measured.last:.4f} from {measured.reference}, more than {self.fail_above:g}",
                remedy="see what changed with `rnn2vec diff`; raise --fail-above if it was meant to.",
            )
        return result

    def _short(self, name: str) -> str:
        """Return a checkpoint's name below the folder that was given, where there is just one."""
        only = self.checkpoints[0]
        return str(Path(name).relative_to(only)) if len(self.checkpoints) == 1 and only.is_dir() else name


def _table(measured: Drift) -> str:
    rows = zip(measured.names, measured.from_previous, measured.from_reference, strict=True)
    head = ["checkpoint", "from the one before", f"from {measured.reference}"]
    return table(head, [[name, f"{before:.4f}", f"{reference:.4f}"] for name, before, reference in rows])
