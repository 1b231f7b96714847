"""Parts that all verbs of the command line share."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import tyro

from rnn2vec._errors import Rnn2VecError, StorageError
from rnn2vec._files import refused
from rnn2vec._registry import Registry
from rnn2vec.cli.terminal import Terminal, write_note, write_out

_KEYWORD = r"\b(?:num_)?{name}=(['\"]?)({value})\1(?![\w.])"
_NO_MEMORY = re.compile(r"can't allocate memory|out of memory|[Cc]annot allocate memory")


@dataclass(frozen=True, kw_only=True)
class Verb(ABC):
    """Verb of the command line; its fields are its options."""

    json: bool = False
    """Print the result as JSON, and nothing else."""
    debug: bool = False
    """Show the traceback of an error."""
    config_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are those of a config (`cli.options`)."""

    @abstractmethod
    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Run; print the result in words, and return it as JSON-ready values."""


def given(**options: Any) -> dict[str, Any]:
    """Return the options that are not None: they replace a preset's values."""
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
    """Run a verb; return the exit code.

    0 stands for success, 2 for a wrong call, 130 for Ctrl-C, 141 for a pipe whose reader has closed it (as shells
    report it), and 1 for anything else.
    """
    try:
        result = verb.run(Terminal(quiet=verb.json))
        if verb.json and result:  # of processes that work together, one alone has a result
            write_out(json.dumps(result, indent=1, allow_nan=False))
    except BrokenPipeError:
        _drop_output()
        return 141
    except KeyboardInterrupt:
        write_note("rnn2vec: interrupted; rerun the command to resume")
        return 130
    except (Rnn2VecError, OSError, MemoryError, RuntimeError) as error:
        explained = _explained(error, verb)
        if verb.debug or explained is None:
            raise
        _drop_output()
        write_note(f"rnn2vec: {explained}")
        return explained.exit_code
    return 0


def _explained(error: BaseException, verb: Verb) -> Rnn2VecError | None:
    """Return an error in the words of the command line; None for one that only a traceback explains."""
    if isinstance(error, Rnn2VecError):
        return type(error)(_naming_options(error.problem, verb), remedy=_as_options(error.remedy, verb))
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        reason = (str(error).strip().splitlines() or ["an allocation failed"])[0]
        return StorageError(f"memory ran out: {reason}", remedy="give smaller sizes or fewer workers, or free memory.")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return refused(f"{where}the system refused", error)
    return None


def _as_options(text: str, verb: Verb) -> str:
    """Write keyword arguments in a remedy, such as `cell='rnn_tanh'`, as the options of the verb."""
    for one in dataclasses.fields(verb):
        text = re.sub(_KEYWORD.format(name=one.name, value=r"[\w.*-]+"), rf"{option_of(verb, one.name)} \2", text)
    return text


def _naming_options(text: str, verb: Verb) -> str:
    """Write keyword arguments that the caller gave, such as `num_runs=0`, as the options of the verb; others stay."""
    for one in dataclasses.fields(verb):
        value = getattr(verb, one.name)
        option = f"{option_of(verb, one.name)} {value}"
        keyword = _KEYWORD.format(name=one.name, value=re.escape(str(value)))
        text = re.sub(keyword, option.replace("\\", r"\\"), text)
        if text == f"unknown {one.name.replace('_', ' ')} {value!r}":
            text = f"{option}: {text}"
    return text


def option_of(verb: Verb, name: str) -> str:
    """Return the option for a field of a verb, such as `--steps` for a config's `num_steps`."""
    return f"--{(name.removeprefix('num_') if name in verb.config_fields else name).replace('_', '-')}"


def _drop_output() -> None:
    """Let the interpreter's last flush of stdout go nowhere: what failed once would fail again, with a traceback."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
