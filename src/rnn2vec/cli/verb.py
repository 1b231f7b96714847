"""What all verbs of the command line share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from rnn2vec.cli.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class Verb(ABC):
    """A verb: its fields are its options."""

    json: bool = False
    """Print the result as JSON, and nothing else."""
    debug: bool = False
    """Show the traceback of an error."""

    @abstractmethod
    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Do it; say the result in words, and return it as JSON-ready values."""


def given(**options: Any) -> dict[str, Any]:
    """The options that were given, those that are not None: they replace a preset's values."""
    return {name: value for name, value in options.items() if value is not None}
