"""Options and messages of verbs that read checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnn2vec.cli.terminal import write_note
from rnn2vec.cli.verb import Verb

if TYPE_CHECKING:
    from rnn2vec.embedding.reading import LeftOut
    from rnn2vec.rnn.state_dicts import Hints


@dataclass(frozen=True, kw_only=True)
class CheckpointVerb(Verb):
    """A verb that reads checkpoints, with options for what these leave open."""

    cell: str | None = None
    """Cell of the checkpoints, where shapes leave it open (tanh or ReLU)."""
    ignore: tuple[str, ...] = ()
    """Names of weights that the outputs do not depend on, with * for anything: "critic.*"."""
    input_scaling: tuple[str, str] | None = None
    """Names of two weights: the RNN is fed (input - first) / second."""
    key: str | None = None
    """Entry of a training checkpoint that is the state dict: "actor_state_dict"."""
    layers: tuple[str, ...] = ()
    """Names of the recurrent modules that are the layers, lowest first."""
    single: str | None = None
    """Name of the recurrent module that is the RNN, if there are others."""
    check: Path | None = None
    """File that `numpy.savez(file, inputs=..., outputs=...)` wrote: sample inputs (B, T, features) or tokens (B, T),
    and the outputs to them, which every checkpoint must reproduce."""

    @property
    def hints(self) -> Hints:
        """The options, as readers take them."""
        from rnn2vec.rnn.reading.samples import read_samples

        return {
            "cell": self.cell,
            "ignore": self.ignore,
            "input_scaling": self.input_scaling,
            "key": self.key,
            "layers": self.layers,
            "single": self.single,
            "check": None if self.check is None else read_samples(self.check),
        }


def tell(left_out: Sequence[LeftOut]) -> None:
    """Name on stderr the files that were left out, with reasons."""
    for one in left_out:
        write_note(f"left out: {one.problem}\n  -> {one.remedy}")


def tell_assumed(assumed: Mapping[str, Sequence[str]], companions: int = 0) -> dict[str, Any]:
    """Name on stderr what was assumed of files that leave it open, and the number of files skipped.

    Args:
        assumed: assumptions, with the names of the RNNs.
        companions: number of files beside checkpoints, such as optimizers, that were not read.

    Returns:
        The same for `--json`.
    """
    from rnn2vec.embedding.reading import said

    for one in said(assumed):
        write_note(f"assumed: {one}; make sure with --check FILE")
    if companions:
        write_note(f"skipped: {companions} optimizers and other companions of checkpoints")
    return {"assumed": {text: list(names) for text, names in assumed.items()}, "companions": companions}
