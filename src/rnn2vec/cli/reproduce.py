"""`rnn2vec study reproduce`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._errors import UsageError
from rnn2vec._lock import claim
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb


@dataclass(frozen=True, kw_only=True)
class Reproduce(Verb):
    """Remake every table and figure of the paper. If interrupted, rerun the command to resume.

    Runs the study files of a scale, measures their models, and writes figures, data, one page and a Markdown file.
    """

    scale: str = "tiny"
    """Folder of study files below --studies: smoke, tiny (minutes) or laptop (a day)."""
    out: Path
    """Folder of the results; only zoos and runs in it are large."""
    studies: Path = Path("studies/reproduction")
    """Folder of the scales, in the project's repository."""
    docs: Path | None = None
    """A Markdown file to write besides, such as docs/reproduction.md, with links relative to it."""
    render: bool = False
    """Only write the report again, from the data in OUT."""
    workers: int | None = None
    """Pieces trained at the same time; by default one for each usable core, or for each GPU."""
    device: str = "cpu"
    """Device: cpu, cuda for every GPU that torch sees, or one of them, such as cuda:1."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Run what is left, then write the report."""
        from rnn2vec.experiments.reproduction.run import MARKER, Reproduction
        from rnn2vec.experiments.reproduction.scales import studies_of
        from rnn2vec.report.reproduction_report import PAGE, write_reproduction

        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}", remedy="give at least 1.")
        if not self.render:
            studies = studies_of(self.scale, self.studies)
            with claim(self.out, marker=MARKER, kind="reproduction"):
                reproduction = Reproduction.begin(self.out, self.scale, studies)
                with terminal.many() as report:
                    reproduction.run(workers=self.workers, device=self.device, progress=report)
                with terminal.progress("measure models") as progress:
                    reproduction.write_data(progress)
        missing = write_reproduction(self.out, self.docs)
        if missing:
            terminal.say(f"without data: {', '.join(missing)}")
        terminal.say(f"page: {self.out / PAGE}")
        return {"page": str(self.out / PAGE), "missing": missing}
