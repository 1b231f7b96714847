"""`rnn2vec bench zoo | product`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from rnn2vec.cli.bench_zoo import BenchProduct, BenchZoo


@dataclass(frozen=True)
class BenchVerbs:
    """Speed beside what a user would take instead, in one run."""

    verb: Annotated[BenchZoo, tyro.conf.subcommand("zoo")] | Annotated[BenchProduct, tyro.conf.subcommand("product")]
