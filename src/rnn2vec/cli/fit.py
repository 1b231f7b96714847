"""`rnn2vec fit`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec.cli.checkpoints import CheckpointVerb, tell
from rnn2vec.cli.terminal import Terminal
from rnn2vec.rnn.interface import Kind

if TYPE_CHECKING:
    from rnn2vec.rnn.stack import RNNStack


@dataclass(frozen=True, kw_only=True)
class Fit(CheckpointVerb):
    """Train a model on your own RNNs and inputs, without labels.

    The number of updates follows from the number and size of the RNNs; --time-budget lowers it. Training stops when ten
    validations in a row bring no progress. If interrupted, rerun the command to resume.
    """

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files, folders of such, or zoos, all with the same inputs and outputs."""
    inputs: Path
    """A .npy or .parquet file of sequences like those that the RNNs are made for: whole numbers are tokens, other
    numbers features. Lengths may differ (lists in Parquet, or NaN at the end)."""
    out: Path
    """Folder of the run, which is the model of other verbs."""
    output_kind: Kind | None = None
    """Kind of the outputs; by default categorical where inputs are tokens and there are as many outputs, else
    continuous."""
    validation_share: float = 0.2
    """Share of the RNNs that is held out."""
    time_budget: float | None = None
    """Minutes that training may take."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "cpu"
    """Device to train on, such as cuda."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Read what can be read, train, and report."""
        from rnn2vec.embedding.rnn2vec import Rnn2Vec

        stacks = self._stacks()
        with terminal.progress("fit") as progress:
            rnn2vec = Rnn2Vec.fit(
                stacks,
                self.inputs,
                out=self.out,
                output_kind=self.output_kind,
                validation_share=self.validation_share,
                time_budget=None if self.time_budget is None else 60 * self.time_budget,
                seed=self.seed,
                device=self.device,
                progress=progress,
            )
        report = rnn2vec.report
        assert report is not None
        terminal.say(f"{report}\n{self.out} is the model: rnn2vec index build ... --model {self.out}")
        return {"out": str(self.out), **dataclasses.asdict(report), "text": str(report)}

    def _stacks(self) -> list[RNNStack]:
        """Read the checkpoints; those that cannot be read are named and left out."""
        from rnn2vec.embedding.reading import checkpoint_files, portions, read

        opened = [
            read(portion, lambda _: None, **self.hints) for portion in portions(checkpoint_files(self.checkpoints))
        ]
        left_out = [one for part in opened for one in part.left_out]
        stacks = [stack for part in opened for stack in part.stacks]
        tell(left_out)
        if not stacks:
            raise left_out[0].error if left_out else DataError("no RNN", remedy="give checkpoints.")
        if sum(map(len, stacks)) < 2:
            raise UsageError("fewer than 2 RNNs", remedy="give a folder of RNNs; hundreds work better than tens.")
        return stacks
