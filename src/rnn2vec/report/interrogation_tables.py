"""The results of `rnn2vec interrogate` as Markdown tables."""

from __future__ import annotations

from rnn2vec.experiments.interrogation.rnn_experiment import RNNResults
from rnn2vec.experiments.interrogation.theory import RANDOM_SETS, TheoryResults
from rnn2vec.report.markdown import markdown_table


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
