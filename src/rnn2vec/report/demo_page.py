"""The page of `rnn2vec demo`: one self-contained HTML file without scripts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib import rc_context
from matplotlib.figure import Figure

from rnn2vec._files import write_atomically
from rnn2vec._provenance import provenance
from rnn2vec.index.index import Neighbour
from rnn2vec.inspection.card import describe
from rnn2vec.inspection.demonstration import Demonstration
from rnn2vec.inspection.words import answer_text, inputs_text
from rnn2vec.report.figures import PALETTES
from rnn2vec.report.files import STYLE, svg_bytes
from rnn2vec.report.pages import environment
from rnn2vec.report.reproduction_figures import COLOURINGS, draw_map
from rnn2vec.rnn.interface import Interface

_SHOWN = 5


def write_demo(
    path: Path, demo: Demonstration, interface: Interface, *, reference_size: int, model: str, command: str
) -> None:
    """Write the page.

    Args:
        path: HTML file to write.
        demo: results to show.
        interface: kinds and names of the RNNs' inputs and outputs.
        reference_size: RNNs that it was compared with.
        model: name of the model.
        command: command line that made the page.

    Raises:
        StorageError: if the file cannot be written.
    """
    own, found = demo.example.properties, demo.disagreement
    page = (
        environment()
        .get_template("demo.html.jinja")
        .render(
            palettes=PALETTES,
            zoo_size=len(demo.zoo),
            vector_size=demo.vectors.shape[1],
            num_tasks=demo.num_tasks,
            is_unseen="train" not in demo.zoo.properties.column("split").to_pylist(),
            num_sequences=len(demo.card.dialogue),
            sequence_length=len(demo.card.dialogue[0]) if demo.card.dialogue else 0,
            seconds=demo.seconds,
            explained="-" if demo.projection.explained is None else f"{demo.projection.explained:.0%}",
            map=_map(demo),
            example=demo.example,
            card=demo.card,
            reference_size=f"{reference_size:,}",
            predictions=[(one.name, _short(own.get(one.name)), describe(one)) for one in demo.card.predictions],
            neighbours=[_cells(one) for one in demo.card.neighbours[:_SHOWN]],
            dialogue=demo.card.dialogue[0] if demo.card.dialogue else (),
            others=demo.others,
            disagreement=found,
            disagreement_input="" if found is None else inputs_text(found.inputs, interface),
            answers=() if found is None else [answer_text(answer, interface) for answer in found.answers],
            model=model,
            command=command,
            version=provenance()["rnn2vec"],
        )
    )
    write_atomically(path, page.encode())


def _map(demo: Demonstration) -> str:
    """Return maps as an embedded picture: by the task's first number, by performance and by training step."""
    rows = demo.zoo.properties
    table = pa.table(
        {
            "split": rows.column("split"),
            "x": demo.projection.coordinates[:, 0],
            "y": demo.projection.coordinates[:, 1],
            "task": [[task[0]] for task in demo.zoo.tasks(np.arange(len(demo.zoo)))],
            "performance": rows.column("performance"),
            "step": rows.column("step"),
        }
    )
    by_task = "rotation" if demo.zoo.family.name == "tiled-mnist" else "offset"
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        for panel, key in zip(figure.subplots(1, 3), (by_task, "performance", "step"), strict=True):
            bar = figure.colorbar(draw_map(panel, table, COLOURINGS[key]), ax=panel, shrink=0.9, pad=0.02)
            bar.set_label(COLOURINGS[key][0], fontsize=8)
            bar.ax.tick_params(labelsize=7)
        figure.supxlabel("dots: unseen tasks; crosses: OOD tasks", fontsize=8)
        return "data:image/svg+xml;base64," + base64.b64encode(svg_bytes(figure)).decode()


def _cells(neighbour: Neighbour) -> list[str]:
    shown = [neighbour.properties.get(name) for name in ("task", "step")]
    return [neighbour.rnn, f"{neighbour.distance:.3f}", *map(_short, shown)]


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
