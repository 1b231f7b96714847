"""What verbs share that read checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnn2vec.cli.terminal import write_note
from rnn2vec.cli.verb import Verb

if TYPE_CHECKING:
    from rnn2vec.embedding.reading import LeftOut
    from rnn2vec.rnn.state_dicts import Hints


@dataclass(frozen=True, kw_only=True)
class CheckpointVerb(Verb):
    """A verb that reads checkpoints, with options for what these leave open."""

    cell: str | None = None
    """Which cell the checkpoints hold, where shapes leave it open (tanh or ReLU)."""
    ignore: tuple[str, ...] = ()
    """Names of weights that the outputs do not depend on, with * for anything: "critic.*"."""
    input_scaling: tuple[str, str] | None = None
    """Names of two weights: the RNN is fed (input - first) / second."""

    @property
    def hints(self) -> Hints:
        """These options, as readers take them."""
        return {"cell": self.cell, "ignore": self.ignore, "input_scaling": self.input_scaling}


def tell(left_out: Sequence[LeftOut]) -> None:
    """Name on stderr what was left out, and why."""
    for one in left_out:
        write_note(f"left out: {one.problem}\n  -> {one.remedy}")
