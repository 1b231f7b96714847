"""`rnn2vec models` and `rnn2vec pack`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb

if TYPE_CHECKING:
    from rnn2vec.index.packing import ModelCard


@dataclass(frozen=True, kw_only=True)
class Models(Verb):
    """List the models in the package, or show the card of one."""

    model: tyro.conf.Positional[str | None] = None
    """Name of a model in the package, or folder of a packed model; all models in the package by default."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Show one line for each model, or a card."""
        from rnn2vec._assets import shipped_folder, shipped_names
        from rnn2vec.cli.table import table
        from rnn2vec.index.packing import ModelCard

        if self.model is not None:
            is_folder = Path(self.model).is_dir()
            card = ModelCard.read(Path(self.model) if is_folder else shipped_folder("models", self.model))
            terminal.say(_text(card))
            return card.to_dict()
        cards = {name: ModelCard.read(shipped_folder("models", name)) for name in shipped_names("models")}
        rows = [
            [name, card.encoder, card.representation_size, card.reference_rnns, card.losses["validation"].mean]
            for name, card in cards.items()
        ]
        head = ["model", "encoder", "numbers", "RNNs to compare with", "loss on unseen tasks"]
        terminal.say(table(head, rows) if rows else "no model comes with this package")
        return {"models": {name: card.to_dict() for name, card in cards.items()}}


@dataclass(frozen=True, kw_only=True)
class Pack(Verb):
    """Pack a pre-trained model to share it: with RNNs to compare others with, and a card of its losses."""

    run_folder: tyro.conf.Positional[Path]
    """Folder of a pre-training run."""
    zoo: Path
    """Folder of the zoo that it was pre-trained on."""
    out: Path
    """Folder of the packed model."""
    rnns: int = 3000
    """RNNs of the zoo to compare with, at most."""
    leave_out: Path | None = None
    """A sample of the zoo, whose runs are left out of the RNNs to compare with."""
    limits: tuple[str, ...] = ()
    """Uses that the model is not made for, a sentence each."""
    seed: int = 0
    """Seed of everything drawn at random."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure, embed, write the folder and show its card."""
        from rnn2vec.index.packing import pack
        from rnn2vec.zoo.store import Zoo

        with terminal.progress(f"pack {self.run_folder}") as progress:
            card = pack(
                self.run_folder,
                Zoo.open(self.zoo),
                self.out,
                most_rnns=self.rnns,
                leave_out=None if self.leave_out is None else Zoo.open(self.leave_out),
                limits=self.limits,
                seed=self.seed,
                progress=progress,
            )
        terminal.say(_text(card))
        return card.to_dict()


def _text(card: ModelCard) -> str:
    """Return a card as text."""
    from rnn2vec._text import visible

    parts = {"validation": "unseen tasks", "ood": "out-of-distribution tasks"}
    lines = [f"{card.encoder}: RNNs of {card.family} as {card.representation_size} numbers", ""]
    lines.append(f"{card.distance} between RNNs and their emulations (95 % interval over tasks):")
    for name, loss in card.losses.items():
        split, _, last = name.partition("/")
        what = parts.get(split, split) + (", last snapshots" if last else ", all snapshots")
        lines.append(f"  {what:<45} {loss.mean:.4f} ({loss.low:.4f} to {loss.high:.4f}; {loss.tasks} tasks)")
    lines += ["", f"{card.updates:,} updates; {card.reference_rnns:,} RNNs to compare with; {card.processor}"]
    lines += [f"  {limit}" for limit in card.limits]
    return visible("\n".join(lines), keep="\n")
