"""`python -m benchmarks.encoders`: the time of a pre-training step and of embedding."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._files import write_atomically, write_json
from rnn2vec._provenance import provenance
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, execute, parse


@dataclass(frozen=True, kw_only=True)
class BenchEncoders(Verb):
    """Measure the time of a pre-training step and the embedding speed of each encoder.

    The encoders are measured in turns and compared with the machine's floor and with probing without stacked weights.
    Run it on an otherwise idle machine.
    """

    encoders: tuple[str, ...] = ()
    """Names of encoders; all by default."""
    workloads: tuple[str, ...] = ("FL", "SM")
    """Workloads with the paper's RNNs and rollouts: FL (formal languages) and SM (tiled sequential MNIST)."""
    preset: str = "paper"
    """Sizes of encoders and emulator: tiny, tour, laptop, recommended or paper."""
    rnns: int = 64
    """Number of RNNs in a batch."""
    rounds: int = 7
    """Number of measurements of each encoder."""
    threads: int | None = None
    """Number of PyTorch's threads; PyTorch's default if omitted."""
    device: str = "cpu"
    """Device to compute on."""
    out: Path | None = None
    """Base name of the result files OUT.json and OUT.md."""
    seed: int = 0
    """Seed of weights and rollouts."""
    kernels: bool = True
    """True to use compiled kernels if they fit, as in trainings of at least 1000 updates."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure, and show a table for each workload."""
        import torch

        from benchmarks.encoders.speed import SpeedTable, measure_speed
        from benchmarks.encoders.table import speed_markdown
        from rnn2vec.execution.cores import torch_threads

        names = self._names()
        tables: dict[str, SpeedTable] = {}
        with torch_threads(self.threads or torch.get_num_threads()):
            for workload in self.workloads:
                with terminal.progress(f"bench {workload}") as progress:
                    tables[workload] = measure_speed(
                        workload,
                        names,
                        size=self.preset,
                        rnns=self.rnns,
                        rounds=self.rounds,
                        device=self.device,
                        seed=self.seed,
                        kernels=self.kernels,
                        progress=progress,
                    )
        text = speed_markdown(tables)
        terminal.say(text)
        findings = {workload: dataclasses.asdict(table) for workload, table in tables.items()}
        options = {"preset": self.preset, "device": self.device, "kernels": self.kernels}
        result = {"provenance": provenance(), **options, "speed": findings}
        if self.out is not None:
            write_atomically(self.out.with_suffix(".md"), text.encode())
            write_json(self.out.with_suffix(".json"), result)
        return result

    def _names(self) -> tuple[str, ...]:
        from benchmarks.encoders.speed import WORKLOADS
        from rnn2vec import encoders

        for name in self.encoders:
            _ = encoders.ENCODERS[name]
        for workload in self.workloads:
            if workload not in WORKLOADS:
                raise unknown_name("workload", workload, WORKLOADS)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads {self.threads}", remedy="give at least 1.")
        return self.encoders or tuple(name for name in encoders.ENCODERS if name != "task-blind")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return execute(parse(BenchEncoders, "python -m benchmarks.encoders", arguments))


if __name__ == "__main__":
    sys.exit(main())
