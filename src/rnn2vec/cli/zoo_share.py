"""`rnn2vec zoo card | push | pull`: zoos on the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rnn2vec._files import write_atomically
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb
from rnn2vec.cli.zoo_change import show


@dataclass(frozen=True, kw_only=True)
class Card(Verb):
    """Write the README of a zoo for a dataset hub."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    out: Path | None = None
    """File to write; without it, the text is printed."""
    license: str | None = None
    """Licence in the hub's notation, such as cc-by-4.0."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Write or print the README."""
        from rnn2vec.zoo.sharing.dataset_card import dataset_card
        from rnn2vec.zoo.store import Zoo

        text = dataset_card(Zoo.open(self.zoo), license=self.license)
        if self.out is None:
            terminal.say(text.rstrip())
        else:
            write_atomically(self.out, text.encode())
            terminal.say(f"wrote {self.out}")
        return {"card": text}


@dataclass(frozen=True, kw_only=True)
class Push(Verb):
    """Upload a finished zoo to the Hugging Face hub, with a README, in one commit."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    repository: tyro.conf.Positional[str]
    """USER/NAME of the dataset, which is created if necessary."""
    private: bool = False
    """Make a new repository private."""
    license: str | None = None
    """Licence in the hub's notation, such as cc-by-4.0."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Upload the zoo and print its URL."""
        from rnn2vec.zoo.sharing.hub import push
        from rnn2vec.zoo.store import Zoo

        with terminal.progress(f"push {self.zoo}") as progress:
            zoo = Zoo.open(self.zoo)
            url = push(zoo, self.repository, private=self.private, license=self.license, progress=progress)
        terminal.say(f"{self.zoo} is at {url}")
        return {"zoo": str(self.zoo), "repository": self.repository, "commit": url}


@dataclass(frozen=True, kw_only=True)
class Pull(Verb):
    """Download a zoo from the Hugging Face hub. If interrupted, rerun the command to resume."""

    repository: tyro.conf.Positional[str]
    """USER/NAME of the dataset."""
    out: Path
    """Folder of the zoo."""
    revision: str | None = None
    """Branch, tag or commit; the newest by default."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Download and verify, then show the zoo's summary."""
        from rnn2vec.zoo.sharing.hub import pull

        with terminal.progress(f"pull {self.repository}") as progress:
            zoo = pull(self.repository, self.out, revision=self.revision, progress=progress)
        return show(zoo, terminal)
