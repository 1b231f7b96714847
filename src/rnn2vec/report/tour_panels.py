"""The visible parts of the tour's page: figures with their legends, and the example dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float
from markupsafe import Markup

from rnn2vec._files import canonical_json
from rnn2vec.experiments.tour.measure import CLOSED_FORM, DISTANCE, Probing, Run, TourResults
from rnn2vec.inspection.dialogues import Transcript, Turn
from rnn2vec.inspection.maps import Projection
from rnn2vec.inspection.performance import PerformanceComparison
from rnn2vec.report import figures
from rnn2vec.report.text import language_html

TITLES = {
    "interactive-probing": "Interactive probing",
    "noninteractive-probing": "Static probing",
    "task-blind": "Task-blind emulator",
}
_SEQUENCES_SHOWN = {"interactive-probing": 4, "noninteractive-probing": 2}


@dataclass(frozen=True)
class Panel:
    """A figure with a title."""

    title: str
    """Title above the figure."""
    figure: Markup
    """Data and layout as JSON for a script element."""
    note: str = ""
    """Remark beside the title."""
    scale: tuple[str, str] | None = None
    """Values of the first and the last colour; None for a figure with a legend of categories, or without a scale."""


@dataclass(frozen=True)
class MapPanels:
    """The maps of one encoder."""

    title: str
    """Name of the encoder."""
    projection: Projection
    """Projection to two dimensions, shared by all maps."""
    panels: list[Panel]
    """Maps, each coloured by one quantity."""


@dataclass(frozen=True)
class PerformancePanel:
    """The performance of one encoder's emulations."""

    panel: Panel
    """Scatter plot against the performance of the RNNs."""
    comparison: PerformanceComparison
    """Data of the plot."""


@dataclass(frozen=True)
class Dialogue:
    """The dialogue of one encoder with the example RNN."""

    title: str
    """Name of the encoder."""
    sequences: list[tuple[Turn, ...]]
    """Probing sequences that are shown."""
    num_sequences: int
    """Number of all probing sequences."""
    text: str
    """All probing sequences as plain text."""
    strings: list[tuple[str, bool]]
    """Strings that the emulation generates, each with True if it is in the language."""


@dataclass(frozen=True)
class ExamplePanel:
    """The example RNN, the strings that it generates, and its dialogues."""

    task: str
    """Description of its task."""
    run: int
    """Number of its run."""
    step: int
    """Number of updates before the snapshot."""
    performance: float
    """Performance according to the zoo, from 0 to 1."""
    strings: list[tuple[str, bool]]
    """Strings that the RNN generates, each with True if it is in the language."""
    dialogues: list[Dialogue]
    """Dialogues with both encoders."""
    tokens: dict[str, int]
    """Index of each letter's colour."""


def as_script(value: Any) -> Markup:
    """Convert a value to JSON that is safe inside a script element."""
    return Markup(canonical_json(value).replace("<", "\\u003c"))  # noqa: S704 (nothing can end the element)


def _panel(title: str, figure: go.Figure, *, note: str = "", scale: tuple[str, str] | None = None) -> Panel:
    content: dict[str, Any] = figure.to_plotly_json()
    layout = {
        name: value for name, value in content["layout"].items() if name != "template"
    }  # the page has the templates
    return Panel(title, as_script({"data": content["data"], "layout": layout}), note, scale)


# -- learning curves -------------------------------------------------------------------------------


def curves(results: TourResults) -> list[Panel]:
    """Build the learning curves: distance on unseen languages over all snapshots, and over the last ones."""
    every_snapshot = np.ones_like(results.is_last)
    return [
        _curves(results, "all snapshots", "validation", every_snapshot),
        _curves(results, "last snapshots only", "last", results.is_last),
    ]


def _curves(results: TourResults, title: str, key: str, chosen: Bool[np.ndarray, " N"]) -> Panel:
    closed = results.floors.get(CLOSED_FORM)
    floor = None if closed is None else float(closed[chosen].mean())
    lines = {TITLES[run.name]: _curve(run, f"{key}/{DISTANCE}") for run in _runs(results)}
    figure = figures.learning_curves(lines, floor)
    figure.update_layout(showlegend=False)  # the page has one legend for both figures
    return _panel(title, figure, note="" if floor is None else figures.floor_name(floor, lines))


def _runs(results: TourResults) -> list[Run]:
    runs = [results.interactive.run, results.static.run]
    return runs if results.blind is None else [*runs, results.blind]


def _curve(run: Run, metric: str) -> tuple[list[int], list[float]]:
    return [line["step"] for line in run.metrics], [line[metric] for line in run.metrics]


# -- maps ------------------------------------------------------------------------------------------


def maps(results: TourResults) -> list[MapPanels]:
    """Build each encoder's maps, coloured by every task parameter, by performance and by number of updates."""
    return [_maps_of(results, probing) for probing in (results.interactive, results.static)]


def _maps_of(results: TourResults, probing: Probing) -> MapPanels:
    hover = _hover(results, probing)
    coordinates = probing.projection.coordinates
    categories = _categories(results)
    steps = np.unique(results.unseen.steps)
    every_step = np.searchsorted(steps, results.unseen.steps).astype(np.float64)
    columns = _task_columns(results)
    lowest, highest = min(map(np.min, columns.values())), max(map(np.max, columns.values()))
    panels = [
        _panel(
            name.replace("_", " of "),
            figures.map_of(coordinates, values, hover, limits=(lowest, highest), categories=categories),
            scale=None if categories else (f"{lowest:g}", f"{highest:g}"),
        )
        for name, values in columns.items()
    ]
    performance = figures.map_of(coordinates, results.performance, hover, limits=(0.0, 1.0))
    panels.append(_panel("performance", performance, scale=("0", "1")))
    trained = figures.map_of(coordinates, every_step, hover, limits=(0.0, len(steps) - 1.0))
    panels.append(_panel("updates", trained, scale=(f"{steps[0]:,}", f"{steps[-1]:,}")))
    return MapPanels(TITLES[probing.run.name], probing.projection, panels)


def category_legend(results: TourResults) -> list[tuple[str, str]]:
    """List the values of the task parameters with their colours; empty if there are too many values."""
    categories = _categories(results) or []
    return [(f"{value:+g}" if value else "0", figures.category_colour(value, categories)) for value in categories]


def _task_columns(results: TourResults) -> dict[str, Float[np.ndarray, " N"]]:
    columns = np.array(results.unseen.tasks, dtype=np.float64).T
    return dict(zip(results.zoo.family.task_columns, columns, strict=True))


def _categories(results: TourResults) -> list[float] | None:
    values = sorted({value for task in results.unseen.tasks for value in task})
    return values if len(values) <= len(figures.CATEGORY_COLOURS) else None


def _hover(results: TourResults, probing: Probing) -> list[str]:
    unseen = results.unseen
    rows = zip(unseen.tasks, unseen.steps, results.performance, probing.distances, strict=True)
    return [
        f"{language_html(unseen.family.describe(task))}<br>"
        f"{step:,} updates, performance {performance:.2f}<br>distance {distance:.3f}"
        for task, step, performance, distance in rows
    ]


# -- performance -----------------------------------------------------------------------------------


def performances(results: TourResults) -> list[PerformancePanel]:
    """Build each encoder's scatter plot of the emulations' performance against that of the RNNs."""
    return [
        PerformancePanel(
            _panel(
                TITLES[probing.run.name],
                figures.performance(probing.performance, _hover(results, probing), series=series),
            ),
            probing.performance,
        )
        for series, probing in enumerate((results.interactive, results.static))
    ]


# -- the example dialogue --------------------------------------------------------------------------


def example(results: TourResults) -> ExamplePanel:
    """Collect the example RNN, the best of the last snapshots, and its dialogue with each encoder."""
    number = results.example.number
    dialogues = [_dialogue(probing) for probing in (results.interactive, results.static)]
    return ExamplePanel(
        task=results.unseen.family.describe(results.unseen.tasks[number]),
        run=int(results.zoo.column("run")[results.unseen.indices[number]]),
        step=int(results.unseen.steps[number]),
        performance=results.example.performance,
        strings=results.example.strings,
        dialogues=dialogues,
        tokens=_token_places(dialogues),
    )


def _dialogue(probing: Probing) -> Dialogue:
    name = probing.run.name
    return Dialogue(
        title=TITLES[name],
        sequences=distinct(probing.transcript, _SEQUENCES_SHOWN[name]),
        num_sequences=len(probing.transcript.sequences),
        text=probing.transcript.render(),
        strings=probing.strings,
    )


def distinct(transcript: Transcript, count: int) -> list[tuple[Turn, ...]]:
    """Return the first `count` probing sequences with different questions."""
    by_questions: dict[tuple[str, ...], tuple[Turn, ...]] = {}
    for turns in transcript.sequences:
        by_questions.setdefault(tuple(turn.asked for turn in turns), turns)
    return list(by_questions.values())[:count]


def _token_places(dialogues: Sequence[Dialogue]) -> dict[str, int]:
    turns = [turn for dialogue in dialogues for sequence in dialogue.sequences for turn in sequence]
    letters = sorted({token for turn in turns for token in (turn.asked, turn.answered) if token.isalnum()})
    return {letter: place % len(figures.CATEGORY_COLOURS) for place, letter in enumerate(letters)}
