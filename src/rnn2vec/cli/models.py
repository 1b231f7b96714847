"""`rnn2vec models | pack | push | pull`."""

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


@dataclass(frozen=True, kw_only=True)
class Push(Verb):
    """Upload a packed model to the Hugging Face hub, with a README, in one commit."""

    model: tyro.conf.Positional[Path]
    """Folder of the packed model."""
    repository: tyro.conf.Positional[str]
    """USER/NAME, which is created if necessary."""
    private: bool = False
    """Make a new repository private."""
    license: str | None = None
    """Licence in the hub's notation, such as mit."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Upload the model and print its URL."""
        from rnn2vec.embedding.hub import push_model

        with terminal.progress(f"push {self.model}") as progress:
            url = push_model(self.model, self.repository, private=self.private, license=self.license, progress=progress)
        terminal.say(f"{self.model} is at {url}")
        return {"model": str(self.model), "repository": self.repository, "commit": url}


@dataclass(frozen=True, kw_only=True)
class Pull(Verb):
    """Download a packed model from the Hugging Face hub. If interrupted, rerun the command to resume."""

    repository: tyro.conf.Positional[str]
    """USER/NAME of the model."""
    out: Path
    """Folder of the model."""
    revision: str | None = None
    """Branch, tag or commit; the newest by default."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Download and verify, then show the card."""
        from rnn2vec.embedding.hub import pull_model
        from rnn2vec.index.packing import ModelCard

        with terminal.progress(f"pull {self.repository}") as progress:
            pull_model(self.repository, self.out, revision=self.revision, progress=progress)
        card = ModelCard.read(self.out)
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
