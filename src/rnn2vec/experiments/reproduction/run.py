"""Run a reproduction: its studies on shared zoos, what is measured on their models, and the data for every item.

    OUT/reproduction.json    the scale
    OUT/zoos/FAMILY          zoos, shared by the studies of a family
    OUT/studies/NAME         rows and runs of each study
    OUT/data/NAME.parquet    what tables and figures are made from

Zoos and runs are large and can be made again; everything else is fit to be committed, and reports need only `data`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnn2vec._errors import UsageError
from rnn2vec._files import read_json, write_json
from rnn2vec._parquet import read_table
from rnn2vec._progress import Progress
from rnn2vec._provenance import provenance
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.experiments import paper
from rnn2vec.experiments.reproduction import measure
from rnn2vec.experiments.reproduction.hyperparameters import hyperparameters
from rnn2vec.experiments.reproduction.rows import Results, tables_of_rows, write_tables
from rnn2vec.experiments.study.config import PRETRAIN, Study
from rnn2vec.experiments.study.expand import DEFAULT, points_of
from rnn2vec.experiments.study.pieces import RUNS
from rnn2vec.experiments.study.rows import read_rows
from rnn2vec.experiments.study.run import ManyProgress, run_study
from rnn2vec.zoo.store import Zoo

MARKER = "reproduction.json"
STUDIES, ZOOS, DATA = "studies", "zoos", "data"
ONE_SEQUENCE = "length-of-one-sequence"
"""The sweep whose models Figure 15 shows."""


@dataclass(frozen=True)
class Reproduction:
    """A folder of results."""

    folder: Path
    """The folder."""
    scale: str
    """Name of the scale."""
    studies: tuple[Study, ...]
    """The studies of the scale."""

    @classmethod
    def begin(cls, folder: Path, scale: str, studies: Sequence[Study]) -> Reproduction:
        """Begin in a claimed folder, or resume with the same scale.

        Raises:
            UsageError: if the folder holds a reproduction of another scale.
        """
        path = folder / MARKER
        if path.exists() and read_json(path).get("scale") != scale:
            raise UsageError(f"{folder} holds a reproduction of another scale", remedy="give another --out.")
        if not path.exists():
            write_json(path, {"scale": scale, "provenance": provenance()})
        return cls(folder, scale, tuple(studies))

    def run(self, *, workers: int | None, device: str, progress: ManyProgress) -> None:
        """Run all studies in order; finished pieces are skipped.

        Raises:
            StudyError: if pieces failed; all other pieces of that study are done.
        """
        for study in self.studies:
            out = self.folder / STUDIES / study.name
            out.parent.mkdir(exist_ok=True)
            outcome = run_study(
                study,
                out,
                zoo_folder=self.zoo_of(study.zoo.family),
                workers=workers,
                device=device,
                progress=lambda which, *done, name=study.name: progress(f"{name}, {which}", *done),
            )
            outcome.require_success(out)

    def zoo_of(self, family: str) -> Path:
        """Return the folder of a family's zoo."""
        (self.folder / ZOOS).mkdir(exist_ok=True)
        return self.folder / ZOOS / family

    def write_data(self, progress: Progress) -> None:
        """Write the tables of rows, and those of models where their runs are still there."""
        rows = {study.name: read_rows(self.folder / STUDIES / study.name) for study in self.studies}
        results: Results = {study.name: (study, rows[study.name]) for study in self.studies if rows[study.name]}
        tables = tables_of_rows(results)
        tables["hyperparameters"] = pa.Table.from_pylist(list(hyperparameters()))
        write_tables(self.folder / DATA, tables | self._measured(progress))

    def _measured(self, progress: Progress) -> dict[str, pa.Table]:
        models = {family: self._models(family) for family in self._families}
        zoos = {family: Zoo.open(self.zoo_of(family)) for family, found in models.items() if found}
        makers: dict[str, Callable[[Zoo, Mapping[str, Model]], Iterable[dict[str, Any]]]] = {
            "imitation": lambda zoo, found: measure.imitation(zoo, found, progress),
            "maps": lambda zoo, found: measure.maps(zoo, found, progress),
            "invariance": measure.invariance,
            "probes": lambda zoo, found: measure.probes(zoo, self._probing(zoo.family.name, found)),
        }
        tables: dict[str, pa.Table] = {}
        for name, make in makers.items():
            lines = [line for family, zoo in zoos.items() for line in make(zoo, models[family])]
            if lines:
                tables[name] = pa.Table.from_pylist(lines)
        return tables

    @property
    def _families(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(study.zoo.family for study in self.studies))

    def _models(self, family: str) -> dict[str, Model]:
        """Return the models of the first seed of each encoder, in the paper's order, whose runs are there."""
        found: dict[str, Model] = {}
        for study in self.studies:
            if study.zoo.family == family and PRETRAIN in study.settings and set(paper.ENCODERS) <= set(study.encoders):
                for encoder in paper.ENCODERS:
                    name = f"{PRETRAIN}.{encoder}.{DEFAULT}.seed-{study.seeds[0]}"
                    found |= self._load(study, name, encoder)
        return found

    def _probing(self, family: str, found: Mapping[str, Model]) -> dict[str, Model]:
        """Return the models of Figure 15: one sequence at each length, or else both probing encoders."""
        chosen: dict[str, Model] = {}
        for study in self.studies:
            for point in points_of(study, study.seeds[0]):
                if point.sweep == ONE_SEQUENCE and study.zoo.family == family:
                    chosen |= self._load(study, point.piece.name, f"length {point.value:g}")
        return chosen or {name: model for name, model in found.items() if name.endswith("probing")}

    def _load(self, study: Study, run: str, name: str) -> dict[str, Model]:
        folder = self.folder / STUDIES / study.name / RUNS / run
        if not (folder / checkpoints.MODEL).is_file():
            return {}
        model = checkpoints.load_model(folder)
        model.encoder.eval()
        return {name: model}


def read_data(folder: Path) -> dict[str, pa.Table]:
    """Return the tables of a reproduction by name.

    Raises:
        UsageError: if the folder holds none.
        DataError: if a file is damaged.
    """
    paths = sorted((folder / DATA).glob("*.parquet"))
    if not paths:
        raise UsageError(
            f"{folder} holds no data of a reproduction", remedy="run `rnn2vec study reproduce` to its end."
        )
    return {path.stem: read_table(path) for path in paths}
