"""`rnn2vec inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rnn2vec._errors import UsageError
from rnn2vec.cli.checkpoints import CheckpointVerb
from rnn2vec.cli.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class Inspect(CheckpointVerb):
    """A card for one RNN: what it is, what it probably does, who is like it, what it answers when asked."""

    checkpoint: tyro.conf.Positional[Path]
    """Checkpoint file."""
    model: str | None = None
    """Folder of a run or a saved model, or the name of an encoder that comes with the package; by default the one of
    the index."""
    index: Path | None = None
    """Index of known RNNs: neighbours, properties, and a warning when the RNN is like none of them."""
    sequences: int = 2
    """Probing sequences of the dialogue that are shown."""
    seed: int = 0
    """Draws which RNNs of the index are kept apart to measure reliability."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Make the card and show it."""
        if self.model is None and self.index is None:
            raise UsageError("neither a model nor an index", remedy="give --model, --index or both.")

        from rnn2vec.embedding.rnn2vec import Rnn2Vec
        from rnn2vec.index.index import Index
        from rnn2vec.inspection.card import inspect_rnn
        from rnn2vec.rnn.reading.files import load_rnn

        index = None if self.index is None else Index.open(self.index)
        rnn = load_rnn(self.checkpoint, **self.hints)
        if self.model is not None:
            rnn2vec = Rnn2Vec.from_pretrained(self.model)
            if index is not None:
                index.require_model(rnn2vec)
        else:
            assert index is not None
            rnn2vec = index.model
        card = inspect_rnn(rnn2vec, rnn, index, seed=self.seed)
        terminal.say(f"{self.checkpoint}\n{card.render(num_sequences=self.sequences)}")
        return {"checkpoint": str(self.checkpoint), **card.to_dict()}
