"""The command line: a skin over the library. One file per verb; heavy libraries load when a verb runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from rnn2vec._errors import Rnn2VecError
from rnn2vec.cli.bench import BenchVerbs
from rnn2vec.cli.diff import Diff
from rnn2vec.cli.embed import Embed
from rnn2vec.cli.index import IndexVerbs
from rnn2vec.cli.inspect import Inspect
from rnn2vec.cli.interrogate import Interrogate
from rnn2vec.cli.pretrain import Pretrain
from rnn2vec.cli.properties import Properties
from rnn2vec.cli.study import StudyVerbs
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.tour import Tour
from rnn2vec.cli.track import Track
from rnn2vec.cli.verb import Verb
from rnn2vec.cli.zoo import ZooVerbs


@dataclass(frozen=True)
class CommandLine:
    """Turn recurrent neural networks into vectors that say what the networks do. Start with: rnn2vec tour."""

    verb: (
        Annotated[Tour, tyro.conf.subcommand("tour")]
        | Annotated[ZooVerbs, tyro.conf.subcommand("zoo")]
        | Annotated[Pretrain, tyro.conf.subcommand("pretrain")]
        | Annotated[Properties, tyro.conf.subcommand("properties")]
        | Annotated[Embed, tyro.conf.subcommand("embed")]
        | Annotated[IndexVerbs, tyro.conf.subcommand("index")]
        | Annotated[Inspect, tyro.conf.subcommand("inspect")]
        | Annotated[Diff, tyro.conf.subcommand("diff")]
        | Annotated[Track, tyro.conf.subcommand("track")]
        | Annotated[Interrogate, tyro.conf.subcommand("interrogate")]
        | Annotated[StudyVerbs, tyro.conf.subcommand("study")]
        | Annotated[BenchVerbs, tyro.conf.subcommand("bench")]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code: 0 on success, 2 for a wrong call, 1 for anything else."""
    parsed = tyro.cli(
        CommandLine,
        prog="rnn2vec",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    given = parsed.verb
    verb: Verb = given.verb if isinstance(given, ZooVerbs | StudyVerbs | IndexVerbs | BenchVerbs) else given
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
