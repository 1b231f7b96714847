"""`rnn2vec zoo filter | subset | merge | import | export`: derived zoos, and the layout of the authors' release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, given

if TYPE_CHECKING:
    from rnn2vec.zoo.store import Zoo


def show(zoo: Zoo, terminal: Terminal) -> dict[str, Any]:
    """Show the zoo's summary, and return it as values."""
    from rnn2vec.zoo.sharing.card import render, summarize

    summary = summarize(zoo)
    terminal.say(render(summary))
    return summary


@dataclass(frozen=True, kw_only=True)
class Filter(Verb):
    """Make a zoo of the snapshots of another zoo that satisfy every condition."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    out: Path
    """Folder of the new zoo."""
    where: tuple[str, ...] = ()
    """Conditions in quotes, such as "step=1000,2000" "performance>=0.9": =, !=, <, <=, >, >= and a value."""
    split: Literal["train", "validation", "ood"] | None = None
    """Keep only snapshots whose task is in this split."""
    rollouts: int | None = None
    """Number of rollouts to keep of each snapshot; all by default."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Filter, then show the new zoo's summary."""
        from rnn2vec.zoo.store import Zoo

        with terminal.progress(f"filter {self.zoo}") as progress:
            options: dict[str, Any] = {"where": self.where, "split": self.split, "num_rollouts": self.rollouts}
            zoo = Zoo.open(self.zoo).filter(self.out, **options, progress=progress)
        return show(zoo, terminal)


@dataclass(frozen=True, kw_only=True)
class Subset(Verb):
    """Make a zoo of all snapshots of some runs of another zoo, drawn at random."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    out: Path
    """Folder of the new zoo."""
    runs: int
    """Number of runs to draw, in the same proportions of splits."""
    seed: int = 0
    """Seed of the draw."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Draw, then show the new zoo's summary."""
        from rnn2vec.zoo.store import Zoo

        with terminal.progress(f"subset {self.zoo}") as progress:
            zoo = Zoo.open(self.zoo).subset(self.out, num_runs=self.runs, seed=self.seed, progress=progress)
        return show(zoo, terminal)


@dataclass(frozen=True, kw_only=True)
class Merge(Verb):
    """Merge several zoos of one family and architecture."""

    zoos: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of the zoos. A task gets the split of the first zoo that has it."""
    out: Path
    """Folder of the new zoo."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Merge, then show the new zoo's summary."""
        from rnn2vec.zoo.store import Zoo

        with terminal.progress(f"merge into {self.out}") as progress:
            zoo = Zoo.merge([Zoo.open(folder) for folder in self.zoos], self.out, progress=progress)
        return show(zoo, terminal)


@dataclass(frozen=True, kw_only=True)
class Import(Verb):
    """Make a zoo of a folder in the layout of the authors' public release."""

    release: tyro.conf.Positional[Path]
    """Folder with parameters.npy, sequences.npy, logits.npy, tasks.npy, and num_step_correct.npy (formal languages) or
    num_step.npy and accuracy_losses.npy (tiled MNIST)."""
    out: Path
    """Folder of the new zoo."""
    hidden_size: int = 32
    """Number of hidden units per layer of the LSTMs."""
    layers: int = 2
    """Number of recurrent layers of the LSTMs."""
    seed: int = 0
    """Seed of the split into training and validation languages."""
    mnist: Path | None = None
    """Folder with MNIST's IDX files, for tiled MNIST; by default RNN2VEC_MNIST, else a cache or the public mirror."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Import, then show the new zoo's summary."""
        from rnn2vec.zoo.sharing.release_import import import_release

        with terminal.progress(f"import {self.release}") as progress:
            zoo = import_release(
                self.release,
                self.out,
                hidden_size=self.hidden_size,
                num_layers=self.layers,
                seed=self.seed,
                options=given(folder=self.mnist),
                progress=progress,
            )
        return show(zoo, terminal)


@dataclass(frozen=True, kw_only=True)
class Export(Verb):
    """Write a zoo in the layout of the authors' public release."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    out: Path
    """Folder for the arrays."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Export the zoo and list the files."""
        from rnn2vec.zoo.sharing.release_export import export_release
        from rnn2vec.zoo.store import Zoo

        with terminal.progress(f"export {self.zoo}") as progress:
            files = export_release(Zoo.open(self.zoo), self.out, progress=progress)
        terminal.say(f"{self.out}: {', '.join(files)}")
        return {"out": str(self.out), "files": files}
