"""`python -m benchmarks.zoo`: speed of training zoos."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tyro

from rnn2vec._errors import UsageError
from rnn2vec._provenance import provenance
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, execute, parse

_MEMORY_RUNS = 64


@dataclass(frozen=True, kw_only=True)
class BenchZoo(Verb):
    """Measure the speed of training zoos, compared with a torch.nn module per process, stacked torch and JAX.

    All contenders train the paper's RNNs (LSTM 2x32, batches of 32), drawing batches included, in turns. On a GPU the
    contenders are our Triton kernels and stacked torch.
    """

    family: tyro.conf.Positional[str] = "formal-languages"
    """Task family of the RNNs: formal-languages or tiled-mnist."""
    turns: int = 7
    """Number of measurements of each contender."""
    seconds: float = 2.0
    """Approximate training time of each contender per turn, in seconds."""
    device: str = "cpu"
    """Device: cpu, or a GPU such as cuda."""
    scale: bool = False
    """Also measure twice the runs, twice the steps, and one core against all."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure and show the table."""
        from benchmarks.zoo.measure import compare, render

        if self.turns < 1 or self.seconds <= 0:
            raise UsageError(
                f"--turns {self.turns} --seconds {self.seconds:g}", remedy="give at least 1 turn of some length."
            )
        if self.scale and self.device != "cpu":
            raise UsageError(f"--scale --device {self.device}", remedy="omit one: --scale measures numba.")
        with terminal.progress(f"bench zoo {self.family}") as progress:
            comparison = compare(
                self.family, turns=self.turns, seconds=self.seconds, device=self.device, progress=progress
            )
        terminal.say(render(comparison))
        result = {**comparison.to_dict(), "provenance": provenance()}
        return result if self.device != "cpu" else {**result, **self._memory(terminal), **self._scaling(terminal)}

    def _memory(self, terminal: Terminal) -> dict[str, Any]:
        from benchmarks.zoo.memory import peak_memory

        memory = peak_memory(self.family, _MEMORY_RUNS)
        terminal.say(f"peak memory of a process that trains {_MEMORY_RUNS} runs: {memory / 1e6:.0f} MB")
        return {"peak_bytes_of_64_runs": memory}

    def _scaling(self, terminal: Terminal) -> dict[str, Any]:
        if not self.scale:
            return {}
        from benchmarks.zoo.scale import scaling

        with terminal.progress("scaling") as progress:
            found = scaling(self.family, turns=self.turns, seconds=self.seconds, progress=progress).to_dict()
        terminal.say(
            f"twice the runs: {found['twice_the_runs']:.2f} times the time; "
            f"twice the steps: {found['twice_the_steps']:.2f} times; "
            f"{found['cores']} cores are {found['all_cores']:.2f} times as fast as one"
        )
        return {"scaling": found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return execute(parse(BenchZoo, "python -m benchmarks.zoo", arguments))


if __name__ == "__main__":
    sys.exit(main())
