"""The parts of the tour's page that are seen: figures with their legends, and the example dialogue."""

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
    """A figure under a title."""

    title: str
    figure: Markup
    """As JSON in a script element."""
    note: str = ""
    """Beside the title."""
    scale: tuple[str, str] | None = None
    """What the first and the last colour stand for; None where there is a legend of categories, or no colour."""


@dataclass(frozen=True)
class MapPanels:
    """The maps of one encoder."""

    title: str
    projection: Projection
    panels: list[Panel]


@dataclass(frozen=True)
class PerformancePanel:
    """One encoder's emulations at work."""

    panel: Panel
    comparison: PerformanceComparison


@dataclass(frozen=True)
class Dialogue:
    """What one encoder asked the example RNN."""

    title: str
    sequences: list[tuple[Turn, ...]]
    """Those that are shown."""
    num_sequences: int
    """How many there are."""
    text: str
    """All of them, as plain text."""
    strings: list[tuple[str, bool]]
    """What the emulation generates."""


@dataclass(frozen=True)
class ExamplePanel:
    """One RNN, what it generates, and its dialogues."""

    task: str
    run: int
    step: int
    performance: float
    strings: list[tuple[str, bool]]
    dialogues: list[Dialogue]
    tokens: dict[str, int]
    """The place of each token, for its colour."""


def as_script(value: Any) -> Markup:
    """JSON that may stand in a script element."""
    return Markup(canonical_json(value).replace("<", "\\u003c"))  # noqa: S704 (nothing can end the element)


def _panel(title: str, figure: go.Figure, *, note: str = "", scale: tuple[str, str] | None = None) -> Panel:
    content: dict[str, Any] = figure.to_plotly_json()
    layout = {name: value for name, value in content["layout"].items() if name != "template"}  # the page has both
    return Panel(title, as_script({"data": content["data"], "layout": layout}), note, scale)


# -- learning curves -------------------------------------------------------------------------------


def curves(results: TourResults) -> list[Panel]:
    """Distance on unseen languages while the encoders learned: over all snapshots, and over the last ones."""
    everyone = np.ones_like(results.is_last)
    return [
        _curves(results, "all snapshots", "validation", everyone),
        _curves(results, "last snapshots alone", "last", results.is_last),
    ]


def _curves(results: TourResults, title: str, key: str, chosen: Bool[np.ndarray, " N"]) -> Panel:
    closed = results.floors.get(CLOSED_FORM)
    floor = None if closed is None else float(closed[chosen].mean())
    lines = {TITLES[run.name]: _curve(run, f"{key}/{DISTANCE}") for run in _runs(results)}
    figure = figures.learning_curves(lines, floor)
    figure.update_layout(showlegend=False)  # the page has one for both
    return _panel(title, figure, note="" if floor is None else figures.floor_name(floor, lines))


def _runs(results: TourResults) -> list[Run]:
    runs = [results.interactive.run, results.static.run]
    return runs if results.blind is None else [*runs, results.blind]


def _curve(run: Run, metric: str) -> tuple[list[int], list[float]]:
    return [line["step"] for line in run.metrics], [line[metric] for line in run.metrics]


# -- maps ------------------------------------------------------------------------------------------


def maps(results: TourResults) -> list[MapPanels]:
    """Each encoder's map, coloured by every task parameter, by performance and by training step."""
    return [_maps_of(results, probing) for probing in (results.interactive, results.static)]


def _maps_of(results: TourResults, probing: Probing) -> MapPanels:
    hover = _hover(results, probing)
    where = probing.projection.coordinates
    categories = _categories(results)
    steps = np.unique(results.unseen.steps)
    every_step = np.searchsorted(steps, results.unseen.steps).astype(np.float64)
    columns = _task_columns(results)
    lowest, highest = min(map(np.min, columns.values())), max(map(np.max, columns.values()))
    panels = [
        _panel(
            name.replace("_", " of "),
            figures.map_of(where, values, hover, limits=(lowest, highest), categories=categories),
            scale=None if categories else (f"{lowest:g}", f"{highest:g}"),
        )
        for name, values in columns.items()
    ]
    performance = figures.map_of(where, results.performance, hover, limits=(0.0, 1.0))
    panels.append(_panel("performance", performance, scale=("0", "1")))
    trained = figures.map_of(where, every_step, hover, limits=(0.0, len(steps) - 1.0))
    panels.append(_panel("updates", trained, scale=(f"{steps[0]:,}", f"{steps[-1]:,}")))
    return MapPanels(TITLES[probing.run.name], probing.projection, panels)


def category_legend(results: TourResults) -> list[tuple[str, str]]:
    """The colour of each value of the task parameters; empty where they are too many."""
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
    """The performance of RNNs against that of their emulations, for each encoder."""
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
    """The best of the last RNNs, and what each encoder asked it."""
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
    """The first `count` probing sequences that ask something else than those before."""
    by_questions: dict[tuple[str, ...], tuple[Turn, ...]] = {}
    for turns in transcript.sequences:
        by_questions.setdefault(tuple(turn.asked for turn in turns), turns)
    return list(by_questions.values())[:count]


def _token_places(dialogues: Sequence[Dialogue]) -> dict[str, int]:
    turns = [turn for dialogue in dialogues for sequence in dialogue.sequences for turn in sequence]
    letters = sorted({token for turn in turns for token in (turn.asked, turn.answered) if token.isalnum()})
    return {letter: place % len(figures.CATEGORY_COLOURS) for place, letter in enumerate(letters)}
