"""The results of `rnn2vec interrogate`, as figures and as Markdown tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnn2vec.experiments.interrogation.rnn_experiment import Curve, RNNResults
from rnn2vec.experiments.interrogation.theory import RANDOM_SETS, GapRow, TheoryResults
from rnn2vec.report.files import LOOK, STYLE, save_svg
from rnn2vec.report.text import markdown_table

_WITH, _WITHOUT = LOOK.series[:2]
_DASHES = (6, 1), (3, 1.5), (1, 1)


def draw_calls_needed(rows: Sequence[GapRow], path: Path) -> None:
    """Draw the calls needed with and without interaction against k, with the bounds; one panel for each M.

    Args:
        rows: measurements of Proposition 3.3.
        path: SVG file to write.

    Raises:
        StorageError: if the file cannot be written.
    """
    offsets = sorted({row.M for row in rows})
    with rc_context(STYLE):
        figure = Figure(figsize=(2.6 * len(offsets) + 0.6, 4.3))
        panels = figure.subplots(1, len(offsets), sharey=True, squeeze=False)[0]
        for panel, M in zip(panels, offsets, strict=True):
            _draw_panel(panel, sorted((row for row in rows if row.M == M), key=lambda row: row.k))
            panel.set_title(f"M = {M} offsets", fontsize=10)
            panel.set_xlabel("letters k")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0].set_ylabel("calls in the worst case")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncols=3, frameon=False, fontsize=8.5)
        figure.tight_layout(rect=(0, 0.19, 1, 1))
        save_svg(figure, path)


def _draw_panel(panel: Axes, rows: Sequence[GapRow]) -> None:
    panel.set_yscale("log")
    letters = [row.k for row in rows]

    def line(values: Sequence[float | None], name: str, colour: str, **look: Any) -> None:
        shown = [(k, value) for k, value in zip(letters, values, strict=True) if value is not None and value > 0]
        panel.plot(*zip(*shown, strict=True) if shown else ([], []), label=name, color=colour, **look)

    proven = {"linewidth": 1.8}
    bound = {"linewidth": 1.2, "linestyle": (0, (4, 2))}
    printed = {"linewidth": 1.4, "linestyle": (0, (1, 1.5)), "alpha": 0.75}
    found = {"linestyle": "none", "marker": "o", "markersize": 5}
    dearer = {"linewidth": 0.8, "marker": "_", "markersize": 6}
    line([row.constructed_probes for row in rows], "fixed probes, optimum (proven)", _WITHOUT, **proven)
    line([row.solved_probes for row in rows], "fixed probes, minimum found by solver", _WITHOUT, **found)
    line([row.at_least for row in rows], "corrected bound $M^{k-2}(M-1)$", _WITHOUT, **bound)
    line(
        [row.printed_noninteractive for row in rows],
        "printed bound $M^{k-1}-M^2$ (false where above)",
        LOOK.ink,
        **printed,
    )
    line([row.bisection for row in rows], "interactive, optimum (proven)", _WITH, **proven)
    line([row.solved_interactive for row in rows], "interactive, minimum found by search", _WITH, **found)
    line([row.literal for row in rows], "autoregressive, literal $(M+1)(k-1)$", _WITH, **dearer, alpha=0.9)
    line([row.skipping for row in rows], "autoregressive, skipping $(M-1)(k-1)$", _WITH, **dearer, alpha=0.5)


def draw_accuracy(results: RNNResults, path: Path) -> None:
    """Draw the accuracy of the classical and the learned interrogator against the number of calls.

    Args:
        results: measurements of both interrogators.
        path: SVG file to write.

    Raises:
        StorageError: if the file cannot be written.
    """
    curves: list[tuple[str, Curve | None, dict[str, Any]]] = [
        ("classical: Bayes, knows the languages", results.classical, {"color": _WITH}),
        ("learned: language named right", results.learned, {"color": _WITHOUT}),
    ]
    for (name, curve), dashes in zip(results.learned_offsets.items(), itertools.cycle(_DASHES), strict=False):
        curves.append((f"learned: {name}", curve, {"color": _WITHOUT, "alpha": 0.55, "linestyle": (0, dashes)}))
    ticks = [1, 2, 5, 10, 20, 40, 80, 160]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2))
        panel = figure.subplots()
        panel.set(xscale="log", xlabel="calls (steps of the RNN)", ylabel="share of RNNs", ylim=(0, 1.03))
        for name, curve, look in curves:
            if curve is not None:
                panel.plot(curve.calls, curve.accuracy, label=name, linewidth=1.6, marker="o", markersize=2.5, **look)
        panel.axhline(1 / 216, color=LOOK.faint, linewidth=0.9, linestyle=(0, (4, 2)), label="guessing: 1 in 216")
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8.5)
        figure.tight_layout(rect=(0, 0.13, 1, 1))
        save_svg(figure, path)


def theory_tables(results: TheoryResults) -> str:
    """Format the measurements of Propositions 3.1 to 3.3 as a document with three tables."""
    splitting = markdown_table(
        ["sets", "members", "interactive", "non-interactive", "allowed"],
        [(row.what, row.size, row.interactive, row.noninteractive, row.size - 1) for row in results.splitting],
    )
    hard = markdown_table(
        ["members", "best interactive strategy", "best fixed set", "claimed"],
        [(row.size, row.interactive, row.noninteractive, row.size - 1) for row in results.hard],
    )
    gap = markdown_table(
        [
            "M", "k", "functions", "literal", "skipping", "optimal", "by search", "printed M(k-1)",
            "fixed: greedy", "by solver", "optimal", "corrected bound", "printed bound", "printed holds", "ratio",
        ],
        [
            (
                row.M, row.k, row.size, row.literal, row.skipping, row.bisection, row.solved_interactive,
                row.printed_interactive, row.greedy_probes, row.solved_probes, row.constructed_probes, row.at_least,
                row.printed_noninteractive, "yes" if row.printed_bound_holds else "**no**", f"{row.ratio:.1f}",
            )
            for row in results.gap
        ],
    )  # fmt: skip
    return f"""# Calls needed, with and without interaction

Written by `rnn2vec interrogate` and explained in `docs/theory.md`. All numbers are worst cases over all members of a
set, counted by the examiner. A dash marks a search that would be too large.

## Proposition 3.1: at most |D| - 1 calls, by the splitting tree

The largest number of calls over all members, and for random sets over {RANDOM_SETS} sets.

{splitting}

## Proposition 3.2: the set {{xi_i}} takes |D| - 1 calls

The optimum over all strategies, by exhaustive search.

{hard}

## Proposition 3.3: generative functions of L(m_2 .. m_k), offsets 1..M

{gap}
"""


def rnn_tables(results: RNNResults) -> str:
    """Format the identification of trained RNNs as a document with two tables."""
    tallies = markdown_table(
        ["snapshots", "RNNs", "performance", "right", "wrong", "not confident", "none of them", "mean calls", "most"],
        [
            (
                one.what, one.num_rnns, f"{one.performance:.3f}", f"{one.right:.1%}", f"{one.wrong:.1%}",
                f"{one.unsure:.1%}", f"{one.unknown:.1%}", f"{one.mean_calls:.1f}", one.worst_calls,
            )
            for one in results.tallies
        ],
    )  # fmt: skip
    curves = {
        "classical": results.classical,
        **({"learned": results.learned} if results.learned is not None else {}),
        **{f"learned, {name}": curve for name, curve in results.learned_offsets.items()},
    }
    accuracies = {name: dict(zip(curve.calls, curve.accuracy, strict=True)) for name, curve in curves.items()}
    shown = [1, 3, 5, 7, 9, *range(8, 200, 8)]
    comparison = markdown_table(
        ["calls", *curves],
        [
            (call, *(f"{curve[call]:.1%}" if call in curve else None for curve in accuracies.values()))
            for call in sorted(shown)
            if any(call in curve for curve in accuracies.values())
        ],
    )
    return f"""# Which language does this RNN generate?

Written by `rnn2vec interrogate --zoo ZOO --model RUN` and explained in `docs/theory.md`. Each RNN makes at most
{results.classical.calls[-1]} steps, counted by the black box.

## The classical interrogator

{tallies}

## Comparison with the learned interrogator

Share of {results.num_test} RNNs (last snapshots, languages outside the training split) whose language is identified
correctly after each number of steps. The predictors of the learned interrogator were fitted on {results.num_train}
snapshots of the training languages.

{comparison}
"""
