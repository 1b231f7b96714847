"""`rnn2vec study run | report`, and the group of all study verbs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from rnn2vec._errors import UsageError
from rnn2vec.cli.encoder_studies import EncoderTable, Invariance
from rnn2vec.cli.imitation import ImitationStudy
from rnn2vec.cli.reproduce import Reproduce
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb


@dataclass(frozen=True, kw_only=True)
class Run(Verb):
    """Train everything that a study file asks for. If interrupted, rerun the command to resume.

    Each finished piece is a small file in OUT/rows, which can be committed: it is never trained again.
    """

    study: tyro.conf.Positional[Path]
    """Study file, such as studies/tiny.yaml."""
    out: Path
    """Folder of the runs and the rows."""
    zoo: Path | None = None
    """Folder of the zoo, which is built if it does not exist, so that studies can share it; by default OUT/zoo."""
    workers: int | None = None
    """Number of concurrent pieces; by default one for each usable core, or for each GPU."""
    device: str = "cpu"
    """Device: cpu, cuda for every GPU that torch sees, or one of them, such as cuda:1."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Run the remaining pieces; failures are reported at the end."""
        from rnn2vec.experiments.study.files import read_study
        from rnn2vec.experiments.study.run import run_study

        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}", remedy="give at least 1.")
        study = read_study(self.study)
        with terminal.many() as report:
            outcome = run_study(
                study,
                self.out,
                zoo_folder=self.zoo,
                workers=self.workers,
                device=self.device,
                progress=lambda which, *done: report(f"{study.name}, {which}", *done),
            )
        terminal.say(
            f"{self.out}: {len(outcome.done)} pieces done, {len(outcome.skipped)} done before, "
            f"{len(outcome.failed)} failed"
        )
        outcome.require_success(self.out)
        return dataclasses.asdict(outcome)


@dataclass(frozen=True, kw_only=True)
class Report(Verb):
    """Write the tables and figures of a study from its finished pieces."""

    folder: tyro.conf.Positional[Path]
    """Folder of the study; only its `study.json` and rows are needed."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Write the report; show the main tables."""
        from rnn2vec.experiments.study.summary import to_json
        from rnn2vec.report.study_report import write_study_report
        from rnn2vec.report.study_tables import (
            comparisons_markdown,
            correlations_markdown,
            losses_markdown,
            predictions_markdown,
            sweeps_markdown,
        )

        summary = write_study_report(self.folder)
        tables = (
            losses_markdown(summary),
            comparisons_markdown(summary),
            sweeps_markdown(summary),
            predictions_markdown(summary),
            correlations_markdown(summary),
        )
        terminal.say("\n\n".join(table for table in tables if table))
        if summary.missing:
            terminal.say(f"\n{len(summary.missing)} pieces are not done yet: rerun `rnn2vec study run` to continue")
        terminal.say(f"\nreport: {self.folder / 'report' / 'report.md'}")
        return to_json(summary)


@dataclass(frozen=True)
class StudyVerbs:
    """Experiments on encoders."""

    verb: (
        Annotated[Invariance, tyro.conf.subcommand("invariance")]
        | Annotated[EncoderTable, tyro.conf.subcommand("encoders")]
        | Annotated[ImitationStudy, tyro.conf.subcommand("imitation")]
        | Annotated[Run, tyro.conf.subcommand("run")]
        | Annotated[Report, tyro.conf.subcommand("report")]
        | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    )
