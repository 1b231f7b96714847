"""`python -m benchmarks.product`: speed of the bare matrix product of small RNNs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, execute, parse


@dataclass(frozen=True, kw_only=True)
class BenchProduct(Verb):
    """Measure the bare matrix product of small RNNs, 32x32 @ 32x128, on all cores: the machine's peak."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure and show GFLOP/s."""
        from benchmarks.zoo.peaks import SmallProduct
        from rnn2vec.execution.cores import usable_cores

        peak = SmallProduct(usable_cores())
        result = {name: max(peak.gflops(name) for _ in range(20)) for name in peak.names}
        terminal.say(f"BLAS {result['blas']:.0f} GFLOP/s, our own product {result['ours']:.0f} GFLOP/s")
        return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return execute(parse(BenchProduct, "python -m benchmarks.product", arguments))


if __name__ == "__main__":
    sys.exit(main())
