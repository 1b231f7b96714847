"""Measurements of encoders as Markdown tables, and their invariance as a figure (the paper's Appendix F.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from rnn2vec.experiments.encoder_table import EncoderRow
from rnn2vec.experiments.invariance import UNMOVED, Learned, Movement
from rnn2vec.report.files import STYLE, save_svg
from rnn2vec.report.text import markdown_table, optional


def invariance_markdown(tables: Mapping[str, Mapping[str, Mapping[str, Movement]]]) -> str:
    """Format one table per state of the encoders: a row for each encoder, a column for each change of the weights.

    Args:
        tables: results of `rnn2vec.experiments.invariance.invariance_table` by state, such as `untrained`.
    """
    parts: list[str] = []
    for title, table in tables.items():
        parts.append(
            f"**{title}**: median movement of representations under each change of the weights, relative to the "
            "distance to another RNN; 0 where no RNN moved by more than rounding."
        )
        rows = [[name, *map(_movement, row.values())] for name, row in table.items()]
        parts.append(markdown_table(["", *next(iter(table.values()))], rows, numbers_right=True))
    return "\n\n".join(parts) + "\n"


def trained_markdown(
    learned: Mapping[str, Mapping[str, Mapping[str, Learned]]], losses: Mapping[str, Mapping[str, float]]
) -> str:
    """Format two tables: movements under function-preserving changes before and after training, and the losses reached.

    Args:
        learned: results of `rnn2vec.experiments.invariance.learned_invariance`, by training.
        losses: lowest validation loss, by training and encoder.
    """
    rows = [
        [name, change, training, _share(one.before), _share(one.after), f"{one.ratio:.2f}"]
        for training, by_encoder in learned.items()
        for name, by_change in by_encoder.items()
        for change, one in by_change.items()
    ]
    movements = markdown_table(
        ["encoder not invariant to", "change", "", "before", "after", "after / before"], rows, numbers_right=True
    )
    names = next(iter(losses.values()))
    reached = markdown_table(
        ["lowest validation loss", *names],
        [[training, *(optional(one.get(name), ".3f") for name in names)] for training, one in losses.items()],
        numbers_right=True,
    )
    return f"{movements}\n\n{reached}\n"


def encoders_markdown(rows: Mapping[str, EncoderRow]) -> str:
    """Format two tables: growth with the RNNs' hidden size, and the RNNs that each encoder distinguishes.

    Args:
        rows: results of `rnn2vec.experiments.encoder_table.encoder_table`, by encoder.
    """
    grown = {name: row.growth for name, row in rows.items() if row.growth is not None}
    sizes = next(iter(grown.values())).hidden_sizes
    growth = markdown_table(
        ["parameters", *(f"N = {size}" for size in sizes), "exponent of N"],
        [[name, *(f"{one:,}" for one in row.parameters), f"{row.exponent:.2f}"] for name, row in grown.items()],
        numbers_right=True,
    )
    movements = markdown_table(
        ["moved by", "permutation", "same statistics, other behaviour", "same behaviour, other weights"],
        [
            [name, _movement(row.permuted), _share(row.same_statistics), _share(row.same_behaviour)]
            for name, row in rows.items()
        ],
        numbers_right=True,
    )
    note = "Movements are medians, relative to the distance between two RNNs of the sample; 0 is rounding."
    return f"{growth}\n\n{note}\n\n{movements}\n"


def _movement(movement: Movement) -> str:
    return "0" if movement.is_unmoved else _share(movement.median)


def _share(value: float) -> str:
    if value < UNMOVED:
        return "0"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.0e}"


_STYLE: dict[Any, Any] = {**STYLE, "axes.grid": False}  # the cells already form a grid


def draw_invariance(tables: Mapping[str, Mapping[str, Mapping[str, Movement]]], path: Path) -> None:
    """Draw a panel for each table, such as untrained and trained: rows are encoders, columns changes, dark is unmoved.

    Args:
        tables: results of `rnn2vec.experiments.invariance.invariance_table` by the panel's title.
        path: SVG file to write.

    Raises:
        StorageError: if the file cannot be written.
    """
    rows = [len(table) for table in tables.values()]
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 0.34 * sum(rows) + 0.45 * len(rows) + 1.0))
        panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
        for panel, (title, table) in zip(panels, tables.items(), strict=True):
            names = list(next(iter(table.values())))
            shares = np.array([[movement.median for movement in row.values()] for row in table.values()])
            panel.imshow(np.clip(shares, 0, 1), cmap="cividis", vmin=0, vmax=1, aspect="auto")
            for (row, column), share in np.ndenumerate(shares):
                unmoved = list(table.values())[row][names[column]].is_unmoved
                text = "unmoved" if unmoved else f"{share:.2f}"
                panel.text(column, row, text, ha="center", va="center", fontsize=7.5, color=_ink_on(share))
            panel.set_yticks(range(len(table)), list(table))
            panel.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=8)
            panel.set_title(title, fontsize=10, loc="left")
            panel.tick_params(length=0)
            panel.spines[:].set_visible(False)
        figure.tight_layout()
        save_svg(figure, path)


def _ink_on(share: float) -> str:
    """Choose white text on the dark half of the scale and black text on the bright half."""
    return "#ffffff" if share < 0.55 else "#111111"
