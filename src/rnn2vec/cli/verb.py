"""What all verbs of the command line share."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import tyro

from rnn2vec._errors import Rnn2VecError
from rnn2vec._registry import Registry
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


def registered(what: str, registry: Registry[Any]) -> Any:
    """Make the help of an option that takes a registered name: what it is, and all names."""
    return tyro.conf.arg(help=f"{what}: {registry.names()}.")


Parsed = TypeVar("Parsed")


def parse(kind: type[Parsed], prog: str, arguments: Sequence[str] | None) -> Parsed:
    """Parse a command line into a verb, or a group of verbs; a wrong call ends the process with exit code 2."""
    return tyro.cli(
        kind,
        prog=prog,
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def execute(verb: Verb) -> int:
    """Run a verb; return the exit code: 0 on success, 2 for a wrong call, 1 for anything else."""
    try:
        result = verb.run(Terminal(quiet=verb.json))
    except (Rnn2VecError, OSError) as error:
        if verb.debug:
            raise
        print(f"rnn2vec: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code if isinstance(error, Rnn2VecError) else 1
    except KeyboardInterrupt:
        print("rnn2vec: interrupted; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    if verb.json and result:  # of processes that work together, one alone has a result
        print(json.dumps(result, indent=1))  # noqa: T201
    return 0
