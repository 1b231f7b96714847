"""`rnn2vec inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rnn2vec.cli.model import ModelVerb
from rnn2vec.cli.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class Inspect(ModelVerb):
    """Show a card for one RNN: what it is, what it probably does, its nearest neighbours, its answers to probes."""

    checkpoint: tyro.conf.Positional[Path]
    """Checkpoint file."""
    index: Path | None = None
    """Index of known RNNs: neighbours, properties, and a warning when the RNN is unlike them; its model is the
    default. A packed model has such an index itself."""
    sequences: int = 2
    """Probing sequences of the dialogue that are shown."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Make the card and show it."""
        from rnn2vec.index.index import Index
        from rnn2vec.index.packing import reference_of
        from rnn2vec.inspection.card import inspect_rnn
        from rnn2vec.rnn.reading.files import load_rnn

        rnn = load_rnn(self.checkpoint, **self.hints)
        index = Index.open(self.index) if self.index is not None else reference_of(self.model or "")
        if index is not None and self.index is not None and self.model is None:
            rnn2vec = index.model
        else:
            rnn2vec = self.rnn2vec([self.checkpoint])
            if index is not None:
                index.require_model(rnn2vec)
        card = inspect_rnn(rnn2vec, rnn, index, seed=self.seed)
        terminal.say(f"{self.checkpoint}\n{card.render(num_sequences=self.sequences)}")
        return {"checkpoint": str(self.checkpoint), **card.to_dict()}
