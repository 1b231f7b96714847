"""The figures of the reproduction, each drawn from one table of its data.

Scatter plots are embedded as pixels: thousands of points would make a page of many megabytes. Text and axes stay
vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib import colormaps, rc_context
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnn2vec.experiments import paper
from rnn2vec.experiments.invariance import Movement
from rnn2vec.experiments.reproduction.measure import RAW_WEIGHTS
from rnn2vec.experiments.reproduction.rows import select
from rnn2vec.experiments.statistics import Estimate, estimate
from rnn2vec.experiments.study.config import BASELINE
from rnn2vec.report.encoder_comparison import draw_invariance
from rnn2vec.report.files import LOOK, STYLE, colour_of, save_svg

Draw = Callable[[pa.Table, Path], None]

TITLES = {"formal-languages": "formal languages", "tiled-mnist": "tiled MNIST"}
SHORT = {
    "interactive-probing": "interactive\nprobing",
    "noninteractive-probing": "static\nprobing",
    "dwsnet": "DWSNet",
    "parameter-transformer": "transformer",
    "flattened-weights": "flattened\nweights",
    "layerwise-statistics": "statistics",
    RAW_WEIGHTS: "raw weights",
}
"""Names of encoders as titles and labels."""
_PARTS = {"validation": "unseen tasks", "ood": "OOD test"}
_TOKENS = ("a", "b", "c", "d", "BOS", "EOS")
_SETTINGS = {"frozen": ("pre-trained", "o"), "supervised": ("supervised", "s"), BASELINE: ("baseline", "D")}
_UNITS = {
    "task": {"formal-languages": "cross-entropy (nats)", "tiled-mnist": "squared error (degrees²)"},
    "step": {"tiled-mnist": "cross-entropy (nats)"},
}


def values(table: pa.Table, column: str) -> list[Any]:
    """Return the distinct values of a column, in the order in which they first come."""
    return list(dict.fromkeys(table[column].to_pylist()))


def in_papers_order(names: Sequence[str]) -> list[str]:
    """Sort encoders as the paper's tables do, from the last to the first; others follow."""
    known = [*reversed(paper.ENCODERS)]
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


def _array(table: pa.Table, column: str) -> np.ndarray:
    return np.asarray(table[column].to_pylist())


# -- imitation (Figures 5 and 14) ------------------------------------------------------------------


def imitation(table: pa.Table, path: Path) -> None:
    """Draw the performance of emulations over that of the RNNs: a column for each encoder, a row for each split.

    Args:
        table: `imitation`, of one family.
        path: the SVG to write.
    """
    names, splits = in_papers_order(values(table, "encoder")), values(table, "split")
    steps = sorted(values(table, "step"))
    colours = colormaps["viridis_r"].resampled(max(2, len(steps)))
    with rc_context(STYLE):
        figure = Figure(figsize=(1.55 * len(names) + 1.2, 1.75 * len(splits) + 0.7), layout="constrained")
        panels = figure.subplots(len(splits), len(names), sharex=True, sharey=True, squeeze=False)
        for (row, split), (column, name) in itertools.product(enumerate(splits), enumerate(names)):
            panel, own = panels[row, column], select(table, split=split, encoder=name)
            panel.plot([0, 1], [0, 1], color=LOOK.faint, linewidth=0.8, linestyle=(0, (4, 3)))
            panel.scatter(
                _array(own, "rnn"), _array(own, "emulation"), s=7, linewidths=0, alpha=0.8, rasterized=True, zorder=2,
                c=np.searchsorted(steps, _array(own, "step")), cmap=colours, vmin=-0.5, vmax=len(steps) - 0.5,
            )  # fmt: skip
            fitted = own["r_squared"][0].as_py() if len(own) else None
            panel.set_title(
                (SHORT.get(name, name) + "\n" if row == 0 else "") + f"R² {_short(fitted)}", fontsize=8, loc="left"
            )
            panel.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), aspect="equal")
        for row, split in enumerate(splits):
            panels[row, 0].set_ylabel(f"emulation\n({'unseen' if split == 'validation' else 'OOD'} tasks)", fontsize=8)
        figure.supxlabel("performance of the RNN (share, 0 to 1)", fontsize=9)
        for place, step in enumerate(steps):
            panels[0, -1].scatter([], [], color=colours((place + 0.5) / len(steps)), s=14, label=f"{step:,}")
        panels[0, -1].legend(
            title="updates", loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, fontsize=7, title_fontsize=7
        )
        save_svg(figure, path)


def _short(number: float | None) -> str:
    if number is None:
        return "undefined"
    return f"{number:.2f}" if abs(number) < 100 else f"{number:.0f}"


# -- maps (Figures 6, 7, 20 to 22) -----------------------------------------------------------------

Colouring = tuple[str, Callable[[pa.Table], np.ndarray], str | Colormap, tuple[float, float] | None]


def _task(place: int) -> Callable[[pa.Table], np.ndarray]:
    return lambda table: np.asarray([task[place] for task in table["task"].to_pylist()])


def _ranks(table: pa.Table) -> np.ndarray:
    steps = _array(table, "step")
    return np.searchsorted(np.unique(steps), steps).astype(float)


COLOURINGS: dict[str, Colouring] = {
    "offset": ("offset of b (letters)", _task(0), colormaps["viridis"].resampled(6), (-3.5, 2.5)),
    "rotation": ("rotation (degrees)", _task(0), "twilight", (0, 360)),
    "performance": ("performance (share)", lambda table: _array(table, "performance"), "cividis", (0, 1)),
    "step": ("snapshot, from the first to the last", _ranks, "viridis", None),
    "gap": ("generalization gap (nats)", lambda table: _array(table, "gap"), "cividis", None),
}


def maps(colourings: Sequence[str], only: Sequence[str] | None = None) -> Draw:
    """Return a function that draws maps: a column for each encoder, a row for each colouring.

    Dots are RNNs of unseen tasks, crosses those of OOD tasks; a line below the panels says so.

    Args:
        colourings: keys of `COLOURINGS`.
        only: the encoders to show; all by default.
    """

    def draw(table: pa.Table, path: Path) -> None:
        names = [name for name in in_papers_order(values(table, "encoder")) if only is None or name in only]
        with rc_context({**STYLE, "axes.grid": False}):
            size = (1.45 * len(names) + 1.4, 1.6 * len(colourings) + 0.4)
            figure = Figure(figsize=size, layout="constrained")
            panels = figure.subplots(len(colourings), len(names), squeeze=False)
            for (row, key), (column, name) in itertools.product(enumerate(colourings), enumerate(names)):
                drawn = draw_map(panels[row, column], select(table, encoder=name), COLOURINGS[key])
                if row == 0:
                    panels[row, column].set_title(SHORT.get(name, name), fontsize=8)
                if column == len(names) - 1:
                    bar = figure.colorbar(drawn, ax=list(panels[row]), shrink=0.9, pad=0.01)
                    bar.set_label(COLOURINGS[key][0], fontsize=7.5)
                    bar.ax.tick_params(labelsize=7)
            figure.supxlabel("dots: unseen tasks; crosses: OOD tasks", fontsize=8)
            save_svg(figure, path)

    return draw


def draw_map(panel: Any, table: pa.Table, colouring: Colouring) -> Any:
    """Draw RNNs of unseen tasks as dots and those of OOD tasks as crosses into a panel, and return the marks."""
    _, of, colours, limits = colouring
    numbers = of(table)
    norm = Normalize(*(limits or (float(np.nanmin(numbers)), float(np.nanmax(numbers)))))
    drawn = None
    for split, marker, size in (("ood", "x", 9), ("validation", "o", 6)):
        chosen = np.asarray(table["split"].to_pylist()) == split
        edge = {"linewidths": 0.7} if marker == "x" else {"linewidths": 0}
        drawn = panel.scatter(
            _array(table, "x")[chosen], _array(table, "y")[chosen], c=numbers[chosen], cmap=colours, norm=norm,
            s=size, marker=marker, rasterized=True, **edge,
        )  # fmt: skip
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    return drawn


# -- predictions (Figures 8, 18, 19) ---------------------------------------------------------------


def predictions(parts: Sequence[str], properties: Sequence[str] | None = None) -> Draw:
    """Return a function that draws prediction losses: a row for each property and family, a column for each part.

    Args:
        parts: `validation`, `ood` or both.
        properties: the properties to show; all by default.
    """

    def draw(table: pa.Table, path: Path) -> None:
        shown = [
            (family, name)
            for family in values(table, "family")
            for name in values(select(table, family=family), "property")
            if properties is None or name in properties
        ]
        with rc_context(STYLE):
            figure = Figure(figsize=(3.9 * len(parts) + 0.4, 2.5 * len(shown) + 0.3), layout="constrained")
            panels = figure.subplots(len(shown), len(parts), sharey="row", squeeze=False)
            for (row, (family, name)), (column, part) in itertools.product(enumerate(shown), enumerate(parts)):
                own = select(table, family=family, property=name, part=part, metric="loss")
                _predictions(panels[row, column], own)
                panels[row, column].set_title(f"{TITLES[family]}: {name}, {_PARTS[part]}", fontsize=8.5, loc="left")
                panels[row, column].set_xlabel(_UNITS.get(name, {}).get(family, "squared error"), fontsize=8)
            panels[0, -1].legend(fontsize=7, frameon=False, loc="best")
            save_svg(figure, path)

    return draw


def _predictions(panel: Any, table: pa.Table) -> None:
    """Draw a line for each encoder, the settings beside each other, then baselines that read no representation."""
    names = in_papers_order([name for name in values(table, "encoder") if " of " not in name])
    for place, name in enumerate(names):
        for offset, (setting, (_, marker)) in zip((-0.17, 0.17, 0.0), _SETTINGS.items(), strict=True):
            own = select(table, encoder=name, setting=setting)
            if len(own):
                found = estimate(_array(own, "value").tolist())
                _point(panel, found, place + offset, colour_of(name), marker, filled=setting != "supervised")
    for label, marker in _SETTINGS.values():
        face = LOOK.ground if label == "supervised" else LOOK.ink
        panel.plot([], [], marker, color=LOOK.ink, markerfacecolor=face, markersize=4, label=label)
    panel.set_yticks(range(len(names)), [SHORT.get(name, name).replace("\n", " ") for name in names], fontsize=7.5)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0, 1.06 * panel.dataLim.x1)
    panel.xaxis.set_major_locator(MaxNLocator(5))


def _point(panel: Any, found: Estimate, place: float, colour: str, marker: str, *, filled: bool = True) -> None:
    """Draw the numbers, and the mean with its interval where there is one."""
    face = colour if filled else LOOK.ground
    panel.plot(
        found.points, [place] * len(found.points), marker, color=colour, markerfacecolor=face, markersize=4, alpha=0.75
    )
    if found.interval is not None:
        panel.plot(found.interval, [place, place], color=colour, linewidth=1.8)
        panel.plot([found.mean], [place], "|", color=colour, markersize=10, markeredgewidth=1.8)


# -- losses and sweeps (Table 2, Figures 11 to 13) -------------------------------------------------


def losses(table: pa.Table, path: Path) -> None:
    """Draw Table 2: a panel for each family and measure, the bounds as lines and the paper's numbers as diamonds.

    Args:
        table: `losses`.
        path: the SVG to write.
    """
    families = values(table, "family")
    measures = {"total_variation": "total variation", "papers_measure": "reverse KL / outputs (nats), the paper's"}
    with rc_context(STYLE):
        figure = Figure(figsize=(8.2, 2.4 * len(families) + 0.3), layout="constrained")
        panels = figure.subplots(len(families), 2, sharey="row", squeeze=False)
        for (row, family), (column, measure) in itertools.product(enumerate(families), enumerate(measures)):
            panel, own = panels[row, column], select(table, family=family)
            if measure == "papers_measure":
                _published(panel, family)
            _losses(panel, own, measure)
            panel.set_title(TITLES[family], fontsize=8.5, loc="left")
            panel.set_xlabel(measures[measure], fontsize=8)
        panels[0, 1].legend(fontsize=7, frameon=False, loc="best")
        save_svg(figure, path)


def _losses(panel: Any, table: pa.Table, measure: str) -> None:
    names = list(reversed(paper.ENCODERS))
    for place, name in enumerate(names):
        own = select(table, encoder=name, variant="default")
        if len(own):
            _point(panel, estimate(_array(own, measure).tolist()), place, colour_of(name), "o")
    for variant, style, label in (("floor", "-", "task-blind floor"), ("ceiling", ":", "ceiling (oracle)")):
        bound = select(table, variant=variant)
        if len(bound):
            panel.axvline(_array(bound, measure).min(), color=LOOK.faint, linewidth=1, linestyle=style, label=label)
    panel.set_yticks(range(len(names)), [SHORT[name].replace("\n", " ") for name in names], fontsize=7.5)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0, 1.06 * panel.dataLim.x1)
    panel.xaxis.set_major_locator(MaxNLocator(5))


def _published(panel: Any, family: str) -> None:
    for place, name in enumerate(reversed(paper.ENCODERS)):
        there = paper.LOSSES[family][name]
        panel.plot([there.low, there.high], [place + 0.25] * 2, color=LOOK.ink, linewidth=1.2)
        panel.plot(
            [there.mean], [place + 0.25], "D", color=LOOK.ink, markersize=3.5, label=None if place else "the paper"
        )


def sweep(name: str) -> Draw:
    """Return a function that draws one sweep: loss over value, a line for each encoder, every seed as a dot.

    Args:
        name: the sweep's.
    """

    def draw(table: pa.Table, path: Path) -> None:
        own = select(table, sweep=name)
        measures = {"total_variation": "total variation", "papers_measure": "reverse KL / outputs (nats)"}
        with rc_context(STYLE):
            figure = Figure(figsize=(7.4, 2.9), layout="constrained")
            panels = figure.subplots(1, 2)
            for panel, (measure, title) in zip(panels, measures.items(), strict=True):
                for encoder in in_papers_order(values(own, "encoder")):
                    _line(panel, select(own, encoder=encoder), measure, encoder)
                ticks = sorted(values(own, "value"))
                panel.set_xscale("log", base=2)
                panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                panel.minorticks_off()
                panel.set_ylim(0, 1.08 * panel.dataLim.y1)
                panel.set_xlabel("probing sequences" if "number" in name else "probes in each sequence")
                panel.set_ylabel(f"{title}, unseen tasks", fontsize=8)
            panels[-1].legend(fontsize=7.5, frameon=False, loc="best")
            save_svg(figure, path)

    return draw


def _line(panel: Any, table: pa.Table, measure: str, encoder: str) -> None:
    colour, means = colour_of(encoder), dict[float, float]()
    for value in sorted(values(table, "value")):
        found = estimate(_array(select(table, value=value), measure).tolist())
        means[value] = found.mean
        panel.plot([value] * len(found.points), found.points, "o", color=colour, markersize=3.5, alpha=0.6)
    label = SHORT.get(encoder, encoder).replace("\n", " ")
    panel.plot(list(means), list(means.values()), color=colour, linewidth=1.4, label=label)


# -- probes and invariance (Figures 15 to 17) ------------------------------------------------------


def probes(table: pa.Table, path: Path) -> None:
    """Draw what was asked: letters as shades for tokens, tiles as images for digits; one block for each encoder.

    Args:
        table: `probes`, of one family.
        path: the SVG to write.
    """
    draw = _tiles if table["family"][0].as_py() == "tiled-mnist" else _tokens
    draw([select(table, encoder=name) for name in values(table, "encoder")], path)


def _tokens(blocks: Sequence[pa.Table], path: Path) -> None:
    longest = max(map(len, blocks))
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(0.19 * longest + 1.8, 1.55 * len(blocks) + 0.9), layout="constrained")
        panels = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
        for panel, block in zip(panels, blocks, strict=True):
            asked, answered = (_array(block, column) for column in ("probe", "answer"))
            panel.imshow(asked.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            best = answered.argmax(axis=1)
            panel.plot(range(len(best)), best, "o", color=colour_of("noninteractive-probing"), markersize=3)
            panel.set_yticks(range(asked.shape[1]), _TOKENS[: asked.shape[1]], fontsize=7)
            panel.set_xlim(-0.5, longest - 0.5)
            panel.set_title(
                f"{block['encoder'][0].as_py()}, asked of {block['task'][0].as_py()}", fontsize=8, loc="left"
            )
        panels[-1].set_xlabel(
            "probe\nshade: its weight on each letter\ndot: the RNN's most probable next letter", fontsize=8
        )
        bar = figure.colorbar(panels[0].images[0], ax=list(panels), shrink=0.5, pad=0.01)
        bar.ax.tick_params(labelsize=7)
        save_svg(figure, path)


def _tiles(blocks: Sequence[pa.Table], path: Path) -> None:
    """Lay the probes of each sequence out as the tiles of an image are: a blank one, then row by row."""
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(3.0 * len(blocks) + 0.4, 3.3), layout="constrained")
        for panel, block in zip(figure.subplots(1, len(blocks), squeeze=False)[0], blocks, strict=True):
            tiles = _array(block, "probe")[1:]
            side, count = round(tiles.shape[1] ** 0.5), max(1, round(len(tiles) ** 0.5))
            image = np.full((-(-len(tiles) // count) * side, count * side), np.nan)
            for place, tile in enumerate(tiles):
                top, left = side * (place // count), side * (place % count)
                image[top : top + side, left : left + side] = tile.reshape(side, side)
            panel.imshow(image, cmap="gray")
            panel.set(xticks=[], yticks=[])
            name = block["encoder"][0].as_py()
            panel.set_title(f"{SHORT.get(name, name)}\n{block['task'][0].as_py()}", fontsize=8)
        figure.supxlabel("probes 2 to the last, in the order of an image's tiles", fontsize=8)
        save_svg(figure, path)


def invariance(state: str) -> Draw:
    """Return a function that draws how far changes of the weights move encoders.

    Args:
        state: `untrained` or `trained`.
    """

    def draw(table: pa.Table, path: Path) -> None:
        tables: dict[str, dict[str, dict[str, Movement]]] = {}
        for line in select(table, state=state).to_pylist():
            row = tables.setdefault(TITLES[line["family"]], {}).setdefault(line["encoder"], {})
            row[line["change"]] = Movement(line["median"], line["low"], line["high"], line["largest"])
        draw_invariance(tables, path)

    return draw
