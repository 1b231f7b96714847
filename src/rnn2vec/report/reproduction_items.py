"""Every table and figure of the paper that this project remakes: what it shows, and the data that it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rnn2vec.experiments import paper
from rnn2vec.experiments.reproduction.measure import RAW_WEIGHTS
from rnn2vec.experiments.reproduction.rows import select
from rnn2vec.experiments.statistics import Estimate, estimate
from rnn2vec.report import reproduction_figures as figures
from rnn2vec.report.reproduction_figures import Draw, values
from rnn2vec.report.study_tables import estimate_text

FL, SM = "formal-languages", "tiled-mnist"
Cells = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows of a table."""


@dataclass(frozen=True)
class Item:
    """A table or a figure."""

    key: str
    """Key, such as `figure-5`, which names its files."""
    title: str
    """Title."""
    data: str
    """The table of the reproduction's data that it is made from."""
    family: str | None = None
    """The only family that it shows; None for both."""
    draw: Draw | None = None
    """Draws it; None for a table without a picture."""
    cells: Callable[[pa.Table], Cells] | None = None
    """Lays out the table; None for figures."""
    only: Mapping[str, str | int] | None = None
    """Further columns of the data and the values that they must have."""

    def rows(self, data: Mapping[str, pa.Table]) -> pa.Table | None:
        """Return the rows of the data that the item shows; None where there are none."""
        if self.data not in data:
            return None
        conditions = dict(self.only or {}) | ({"family": self.family} if self.family else {})
        found = select(data[self.data], **conditions)
        return found if len(found) else None


def _losses(table: pa.Table) -> Cells:
    """Lay Table 2 out: both measures beside the paper's numbers, bounds last."""
    rows: list[list[str]] = []
    for family in values(table, "family"):
        names = [*paper.ENCODERS, "task-blind", "closed-form", "oracle"]
        for name in names:
            own = select(table, family=family, encoder=name)
            if len(own):
                numbers = (_estimate(own, column) for column in ("total_variation", "last_total_variation"))
                cells = [*map(estimate_text, numbers), estimate_text(_estimate(own, "papers_measure"))]
                published = str(paper.LOSSES[family].get(name, ""))
                rows.append([figures.TITLES[family], name, f"{len(own)}", *cells, published])
    head = ["zoo", "encoder", "seeds", "total variation", "last snapshots", "reverse KL / outputs", "paper"]
    return head, rows


def _estimate(table: pa.Table, column: str) -> Estimate:
    return estimate(table[column].to_pylist())


def _hyperparameters(table: pa.Table) -> Cells:
    lines = table.to_pylist()
    return ["", "paper", "preset paper"], [[line["hyperparameter"], line["paper"], line["here"]] for line in lines]


def _correlations(table: pa.Table) -> Cells:
    rows = [
        [
            figures.TITLES[line["family"]],
            line["property"],
            "unseen tasks" if line["part"] == "validation" else "OOD test",
            f"{line['r']:.3f} ({line['low']:.3f}, {line['high']:.3f})",
            f"{line['trainings']}",
            f"{paper.CORRELATIONS.get((line['family'], line['property']), {}).get(line['part'], '')}",
        ]
        for line in table.to_pylist()
    ]
    return ["zoo", "property", "scored on", "Pearson's r", "trainings", "paper"], rows


_HYPERPARAMETERS = {
    3: "pre-training",
    4: "downstream predictors",
    5: "layer-wise statistics",
    6: "flattened weights",
    7: "the parameter transformer",
    8: "DWSNet",
    9: "non-interactive probing",
    10: "interactive probing",
}
_PROBING = ("interactive-probing", RAW_WEIGHTS)
_TWO = ("validation", "ood")

ITEMS: tuple[Item, ...] = (
    Item("table-2", "Losses of self-supervised pre-training", "losses", draw=figures.losses, cells=_losses),
    *(
        Item(f"table-{number}", f"Hyperparameters of {what}", "hyperparameters", cells=_hyperparameters,
             only={"table": number})
        for number, what in _HYPERPARAMETERS.items()
    ),
    Item("table-11", "Correlation of pre-training loss with prediction loss", "correlations", cells=_correlations),
    Item("figure-5", "Performance of RNNs and of their emulations", "imitation", FL, figures.imitation),
    Item("figure-6", "Representations of interactive probing", "maps", FL,
         figures.maps(("offset", "performance"), _PROBING)),
    Item("figure-7", "Representations of interactive probing", "maps", SM,
         figures.maps(("rotation", "performance"), _PROBING)),
    Item("figure-8", "Predicting the task of OOD RNNs", "predictions", draw=figures.predictions(("ood",), ("task",))),
    Item("figure-11", "Number of probing sequences", "sweeps", FL, figures.sweep("number-of-sequences"),
         only={"sweep": "number-of-sequences"}),
    Item("figure-12", "Number of probing sequences", "sweeps", SM, figures.sweep("number-of-sequences"),
         only={"sweep": "number-of-sequences"}),
    Item("figure-13", "Length of probing sequences", "sweeps", FL, figures.sweep("length-of-sequences"),
         only={"sweep": "length-of-sequences"}),
    Item("figure-14", "Performance of RNNs and of their emulations", "imitation", SM, figures.imitation),
    Item("figure-15", "Learned probing sequences", "probes", FL, figures.probes),
    Item("figure-15-tiles", "Learned probing sequences, as tiles", "probes", SM, figures.probes),
    Item("figure-16", "Changes of the weights that untrained encoders notice", "invariance",
         draw=figures.invariance("untrained"), only={"state": "untrained"}),
    Item("figure-17", "Changes of the weights that trained encoders notice", "invariance",
         draw=figures.invariance("trained"), only={"state": "trained"}),
    Item("figure-18", "Predicting properties", "predictions", FL, figures.predictions(_TWO)),
    Item("figure-19", "Predicting properties", "predictions", SM, figures.predictions(_TWO)),
    Item("figure-20", "Representations by task and performance", "maps", FL, figures.maps(("offset", "performance"))),
    Item("figure-21", "Representations by task and performance", "maps", SM, figures.maps(("rotation", "performance"))),
    Item("figure-22", "Representations by training step and gap", "maps", SM, figures.maps(("step", "gap"))),
)  # fmt: skip
"""Items in the paper's order."""


def missing(data: Mapping[str, pa.Table]) -> list[str]:
    """Return the keys of items that have no data."""
    return [item.key for item in ITEMS if item.rows(data) is None]
