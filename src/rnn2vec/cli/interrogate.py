"""`rnn2vec interrogate`: the theory of probing as an experiment."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import LARGEST_JSON, require_regular, write_atomically, write_json
from rnn2vec._lock import claim
from rnn2vec._provenance import provenance
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb

MARKER = "interrogation.json"


@dataclass(frozen=True, kw_only=True)
class Interrogate(Verb):
    """Measure how many questions it takes to identify a function.

    Without options, the paper's three propositions are measured and written as tables and a figure. With --zoo, the
    language of each RNN of a zoo is identified as well. With --table, the calls needed for your own set of functions
    are computed instead.
    """

    out: Path = Path("interrogation")
    """Folder of the tables and figures."""
    zoo: Path | None = None
    """Zoo of formal languages whose RNNs are to be identified."""
    model: str | None = None
    """Pre-trained probing encoder to compare with on that zoo: folder of a run, or a name."""
    budget: int = 40
    """Maximum number of steps per RNN."""
    table: Path | None = None
    """CSV file with one function per row: its name, then its answers; the first row names the inputs."""
    largest_offset: int = 5
    """Largest M of Proposition 3.3."""
    letters: int = 8
    """Largest k of Proposition 3.3."""
    seed: int = 0
    """Seed of all random numbers."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure, write tables and figures, and report where they are."""
        if self.table is not None:
            return self._compare(self.table, terminal)
        if self.model is not None and self.zoo is None:
            raise UsageError("--model without --zoo", remedy="give the zoo on which to compare the encoder.")
        if self.largest_offset < 2 or self.letters < 3 or self.budget < 1:
            raise UsageError(
                f"--largest-offset {self.largest_offset} --letters {self.letters} --budget {self.budget}",
                remedy="give at least 2 offsets, 3 letters and 1 step.",
            )
        with claim(self.out, marker=MARKER, kind="result of `rnn2vec interrogate`"):
            results = {"provenance": provenance(), "seed": self.seed, "theory": self._theory(terminal)}
            if self.zoo is not None:
                results["rnns"] = self._rnns(self.zoo, terminal)
            write_json(self.out / MARKER, results)
        terminal.say(f"tables and figures: {self.out}")
        return results

    def _theory(self, terminal: Terminal) -> dict[str, Any]:
        from rnn2vec.experiments.interrogation.theory import run_theory
        from rnn2vec.report.interrogation import draw_calls_needed, theory_tables

        offsets, letters = tuple(range(2, self.largest_offset + 1)), tuple(range(3, self.letters + 1))
        with terminal.progress("propositions") as progress:
            results = run_theory(offsets=offsets, letters=letters, seed=self.seed, progress=progress)
        write_atomically(self.out / "theory.md", theory_tables(results).encode())
        draw_calls_needed(results.gap, self.out / "theory.svg")
        false = [f"({row.M}, {row.k})" for row in results.gap if not row.printed_bound_holds]
        last = results.gap[-1]
        terminal.say(f"the paper's non-interactive bound is false for (M, k) = {', '.join(false) or 'none of these'}")
        terminal.say(
            f"M={last.M}, k={last.k}: {last.bisection} calls with interaction, {last.constructed_probes:,} without"
        )
        return dataclasses.asdict(results)

    def _rnns(self, zoo: Path, terminal: Terminal) -> dict[str, Any]:
        import torch

        from rnn2vec.embedding.rnn2vec import Rnn2Vec
        from rnn2vec.experiments.interrogation.rnn_experiment import run_on_zoo
        from rnn2vec.report.interrogation import draw_accuracy, rnn_tables
        from rnn2vec.zoo.store import Zoo

        torch.set_num_threads(1)  # steps of a single small RNN
        model = None if self.model is None else Rnn2Vec.from_pretrained(self.model)
        with terminal.progress("trained RNNs") as progress:
            results = run_on_zoo(Zoo.open(zoo), model, budget=self.budget, seed=self.seed, progress=progress)
        write_atomically(self.out / "rnns.md", rnn_tables(results).encode())
        draw_accuracy(results, self.out / "rnns.svg")
        for one in results.tallies:
            terminal.say(
                f"{one.what}: {one.right:.1%} correct, {one.wrong:.1%} wrong, {one.unsure + one.unknown:.1%} not "
                f"identified; {one.mean_calls} calls on average"
            )
        return dataclasses.asdict(results)

    def _compare(self, path: Path, terminal: Terminal) -> dict[str, Any]:
        from rnn2vec.experiments.interrogation.comparison import calls_needed, summary
        from rnn2vec.experiments.interrogation.functions import table_set

        functions = table_set(*_read_table(path))
        needed = calls_needed(functions)
        result = summary(functions, needed)
        for kind, calls, at_least in (
            ("with interaction", needed.interactive.calls, needed.interactive.at_least),
            ("without", len(needed.noninteractive.probes), needed.noninteractive.at_least),
        ):
            exactness = "optimal" if calls == at_least else f"lower bound {at_least}"
            terminal.say(f"{kind}: {calls} calls ({exactness})")
        terminal.say(f"ratio: {needed.ratio:.2f}; fixed probes: {', '.join(map(str, result['probes']))}")  # pyright: ignore[reportArgumentType]
        return result


def _read_table(path: Path) -> tuple[list[str], list[str], list[list[str]]]:
    """Read the names of the functions, the names of the inputs, and the answers."""
    require_regular(path, largest=LARGEST_JSON)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file: {error}", remedy="save it as CSV, in UTF-8.") from error
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DataError(
            f"{path} has no functions",
            remedy="give the names of the inputs in the first row, and one function in each further row.",
        )
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise DataError(
                f"{path}: row {number} has {len(row)} cells, the first row {len(rows[0])}",
                remedy="give every function an answer to every input.",
            )
    return [row[0] for row in rows[1:]], rows[0][1:], [row[1:] for row in rows[1:]]
