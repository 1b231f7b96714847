"""Options of verbs that turn checkpoints into vectors: with a trained model, or without any."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnn2vec._errors import UsageError
from rnn2vec.cli.checkpoints import CheckpointVerb
from rnn2vec.rnn.interface import Kind

if TYPE_CHECKING:
    from rnn2vec.embedding.rnn2vec import Rnn2Vec


@dataclass(frozen=True, kw_only=True)
class ModelVerb(CheckpointVerb):
    """A verb that takes a trained model, and works without one."""

    model: str | None = None
    """Folder of a run or a saved model, or the name of a model that comes with the package. Without it, RNNs are
    compared by their answers to fixed input sequences, which needs no training."""
    inputs: Path | None = None
    """Without a model: a .npy or .parquet file of input sequences like those that the RNNs are made for; by default
    inputs are drawn at random from -1 to 1."""
    output_kind: Kind | None = None
    """Without a model: kind of the outputs; by default categorical where inputs are tokens and there are as many
    outputs, else continuous."""
    seed: int = 0
    """Seed of everything drawn at random."""

    def rnn2vec(self, files: Sequence[Path]) -> Rnn2Vec:
        """Load the model, or build one that needs no training from some of the files, and report it on stderr."""
        from rnn2vec.embedding.rnn2vec import Rnn2Vec

        if self.model is not None:
            if self.inputs is not None or self.output_kind is not None:
                raise UsageError(
                    "--inputs or --output-kind beside --model", remedy="leave them out: the model has its own."
                )
            return Rnn2Vec.from_pretrained(self.model)
        rnn2vec = Rnn2Vec.untrained_for_files(
            files, self.inputs, output_kind=self.output_kind, seed=self.seed, **self.hints
        )
        print(f"no model given: {without_training(rnn2vec, self.inputs)}", file=sys.stderr)  # noqa: T201
        return rnn2vec


def without_training(rnn2vec: Rnn2Vec, inputs: Path | None) -> str:
    """Return how RNNs are compared without a model, and how to do better."""
    probes = rnn2vec.encoder.get_buffer("probes")
    low, high = rnn2vec.encoder.interface.input_range
    kind = (
        "random tokens"
        if rnn2vec.encoder.interface.input_kind == "categorical"
        else f"random numbers from {low:g} to {high:g}"
    )
    asked = f"sequences of {probes.shape[1]} steps"
    source = f"of {inputs}" if inputs is not None else f"of {kind} (give --inputs FILE for your own)"
    return (
        f"RNNs are compared by their answers to {probes.shape[0]} {asked} {source}; nothing is learned "
        "(random-probing). `rnn2vec fit` trains a model."
    )
