"""The command line: a skin over the library. One file per verb; heavy libraries load when a verb runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

import tyro

from rnn2vec.cli.demo import Demo
from rnn2vec.cli.diff import Diff
from rnn2vec.cli.embed import Embed
from rnn2vec.cli.explore import Explore
from rnn2vec.cli.fit import Fit
from rnn2vec.cli.index import IndexVerbs
from rnn2vec.cli.inspect import Inspect
from rnn2vec.cli.interrogate import Interrogate
from rnn2vec.cli.models import Models, Pack, Pull, Push
from rnn2vec.cli.pretrain import Pretrain
from rnn2vec.cli.properties import Properties
from rnn2vec.cli.study import StudyVerbs
from rnn2vec.cli.terminal import write_out
from rnn2vec.cli.tour import Tour
from rnn2vec.cli.track import Track
from rnn2vec.cli.verb import Verb, execute, parse
from rnn2vec.cli.zoo import ZooVerbs


@dataclass(frozen=True)
class CommandLine:
    """Turn recurrent neural networks into vectors that describe what the networks do.

    Start with: rnn2vec demo. rnn2vec --version prints the version.
    """

    verb: (
        Annotated[Demo, tyro.conf.subcommand("demo")]
        | Annotated[Tour, tyro.conf.subcommand("tour")]
        | Annotated[ZooVerbs, tyro.conf.subcommand("zoo")]
        | Annotated[Pretrain, tyro.conf.subcommand("pretrain")]
        | Annotated[Properties, tyro.conf.subcommand("properties")]
        | Annotated[Embed, tyro.conf.subcommand("embed")]
        | Annotated[Fit, tyro.conf.subcommand("fit")]
        | Annotated[IndexVerbs, tyro.conf.subcommand("index")]
        | Annotated[Inspect, tyro.conf.subcommand("inspect")]
        | Annotated[Diff, tyro.conf.subcommand("diff")]
        | Annotated[Track, tyro.conf.subcommand("track")]
        | Annotated[Models, tyro.conf.subcommand("models")]
        | Annotated[Pack, tyro.conf.subcommand("pack")]
        | Annotated[Explore, tyro.conf.subcommand("explore")]
        | Annotated[Push, tyro.conf.subcommand("push")]
        | Annotated[Pull, tyro.conf.subcommand("pull")]
        | Annotated[Interrogate, tyro.conf.subcommand("interrogate")]
        | Annotated[StudyVerbs, tyro.conf.subcommand("study")]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code (see `cli.verb.execute`)."""
    if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        write_out(f"rnn2vec {metadata.version('rnn2vec')}")
        return 0
    given = parse(CommandLine, "rnn2vec", arguments).verb
    verb: Verb = given.verb if isinstance(given, ZooVerbs | StudyVerbs | IndexVerbs) else given
    return execute(verb)
