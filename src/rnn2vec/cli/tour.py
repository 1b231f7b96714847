"""`rnn2vec tour`: the whole idea in one command, on two CPU cores, in minutes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._files import write_json
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, given
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.config import preset as pretrain_preset
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.config import preset as zoo_preset

MARKER = "tour.json"
ENCODERS = ("interactive-probing", "noninteractive-probing", "task-blind")
"""Encoders to pre-train in parallel, the slowest first."""


@dataclass(frozen=True, kw_only=True)
class Tour(Verb):
    """Build a small zoo, pre-train two probing encoders, and write a report: the whole idea in minutes.

    If interrupted, rerun the command to resume.
    """

    out: Path = Path("tour")
    """Folder of the zoo, the runs and the report."""
    runs: int | None = None
    """Number of RNNs to train; by default two per language."""
    zoo_steps: int | None = None
    """Number of updates of each RNN."""
    pretrain_steps: int | None = None
    """Number of updates of each encoder."""
    workers: int = 3
    """Number of encoders to pre-train in parallel, with one thread each. The default of 3 suits two cores: if the third
    encoder started last, one core would be idle at the end."""
    seed: int = 0
    """Seed of all random numbers."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Build the zoo, pre-train the encoders, write the report, and print its location and main numbers."""
        zoo_config = dataclasses.replace(
            zoo_preset("tour"), seed=self.seed, **given(num_runs=self.runs, num_steps=self.zoo_steps)
        )
        configs = [
            dataclasses.replace(
                pretrain_preset("tour", encoder), seed=self.seed, **given(num_steps=self.pretrain_steps)
            )
            for encoder in ENCODERS
        ]
        with claim(self.out, marker=MARKER, kind="tour"):
            return self._run(zoo_config, configs, terminal)

    def _run(self, zoo_config: ZooConfig, configs: list[PretrainConfig], terminal: Terminal) -> dict[str, Any]:
        """Do it in the claimed folder."""
        from rnn2vec._provenance import provenance
        from rnn2vec.zoo.build import build_zoo

        if not (self.out / MARKER).exists():
            write_json(self.out / MARKER, {"provenance": provenance()})

        with terminal.progress(f"1/3 train {zoo_config.num_runs} RNNs") as progress:
            zoo = build_zoo(zoo_config, self.out / "zoo", progress=progress)
        runs = self._pretrain(configs, terminal)

        from rnn2vec.report.tour_page import write_tour_report

        report = self.out / "report.html"
        with terminal.progress("3/3 report") as progress:
            findings = write_tour_report(report, zoo, runs, command=self._command(), progress=progress)
        terminal.say(str(findings))
        terminal.say(f"\nreport: {report}")
        return {"report": str(report), **findings.to_dict()}

    def _command(self) -> str:
        """Return the command line that reproduces the report."""
        numbers = {"runs": self.runs, "zoo-steps": self.zoo_steps, "pretrain-steps": self.pretrain_steps}
        options = [f"--{name} {value}" for name, value in given(**numbers).items()]
        return " ".join(["rnn2vec tour", *options, f"--seed {self.seed}"])

    def _pretrain(self, configs: list[PretrainConfig], terminal: Terminal) -> dict[str, Path]:
        """Pre-train every encoder, `workers` at a time; return the folders of the runs by encoder."""
        from rnn2vec.execution.local import Piece, run_pieces

        runs = {config.encoder: self.out / config.encoder for config in configs}
        pieces = [
            Piece(
                config.encoder,
                pretrain_piece,
                {"zoo": self.out / "zoo", "config": config, "out": runs[config.encoder]},
            )
            for config in configs
        ]
        with terminal.many() as report:
            run_pieces(
                pieces,
                workers=self.workers,
                progress=lambda name, done, total, what: report(f"2/3 pre-train {name}", done, total, what),
            )
        return runs


def pretrain_piece(zoo: Path, config: PretrainConfig, out: Path, progress: Progress = silent) -> None:
    """Pre-train one encoder in its own process, on one thread."""
    import torch

    from rnn2vec.emulation.pretrain import pretrain
    from rnn2vec.zoo.store import Zoo

    torch.set_num_threads(1)
    pretrain(Zoo.open(zoo), config, out, progress=progress)
