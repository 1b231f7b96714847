"""`rnn2vec bench`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from rnn2vec.cli.bench_encoders import BenchEncoders


@dataclass(frozen=True)
class BenchVerbs:
    """Speed, beside what one would use instead, in one run."""

    verb: Annotated[BenchEncoders, tyro.conf.subcommand("encoders")]
