"""What was measured of encoders as Markdown tables, for the documentation and the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rnn2vec.experiments.encoder_table import EncoderRow
from rnn2vec.experiments.invariance import UNMOVED, Learned, Movement
from rnn2vec.report.markdown import markdown_table


def invariance_markdown(tables: Mapping[str, Mapping[str, Mapping[str, Movement]]]) -> str:
    """A table for each state of the encoders: a row for each encoder, a column for each change of the weights.

    Args:
        tables: by state; each as `rnn2vec.experiments.invariance.invariance_table` makes it.
    """
    parts: list[str] = []
    for title, table in tables.items():
        parts.append(
            f"**{title}**: how far each change of the weights moves representations, as the median share of the "
            "distance to another RNN; 0 where no RNN moved by more than rounding."
        )
        rows = [[name, *map(_movement, row.values())] for name, row in table.items()]
        parts.append(markdown_table(["", *next(iter(table.values()))], rows, numbers_right=True))
    return "\n\n".join(parts) + "\n"


def trained_markdown(
    learned: Mapping[str, Mapping[str, Mapping[str, Learned]]], losses: Mapping[str, Mapping[str, float]]
) -> str:
    """Two tables: what training did to movements that are no change of the function, and how far training came.

    Args:
        learned: by training; each as `rnn2vec.experiments.invariance.learned_invariance` makes it.
        losses: the lowest validation loss, by training and encoder.
    """
    rows = [
        [name, change, training, _share(one.before), _share(one.after), f"{one.ratio:.2f}"]
        for training, by_encoder in learned.items()
        for name, by_change in by_encoder.items()
        for change, one in by_change.items()
    ]
    what_is_left = markdown_table(
        ["moved by what is no change", "change", "", "before", "after", "after / before"], rows, numbers_right=True
    )
    names = next(iter(losses.values()))
    reached = markdown_table(
        ["lowest validation loss", *names],
        [[training, *(_number(one.get(name)) for name in names)] for training, one in losses.items()],
        numbers_right=True,
    )
    return f"{what_is_left}\n\n{reached}\n"


def _number(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.3f}"


def encoders_markdown(rows: Mapping[str, EncoderRow]) -> str:
    """Two tables: growth with the RNNs' hidden size, and what encoders are moved by.

    Args:
        rows: by encoder, as `rnn2vec.experiments.encoder_table.encoder_table` makes them.
    """
    grown = {name: row.growth for name, row in rows.items() if row.growth is not None}
    sizes = next(iter(grown.values())).hidden_sizes
    growth = markdown_table(
        ["parameters", *(f"N = {size}" for size in sizes), "grow with N to the"],
        [[name, *(f"{one:,}" for one in row.parameters), f"{row.exponent:.2f}"] for name, row in grown.items()],
        numbers_right=True,
    )
    apart = markdown_table(
        ["moved by", "permutation", "same statistics, other behaviour", "same behaviour, other weights"],
        [
            [name, _movement(row.permuted), _share(row.same_statistics), _share(row.same_behaviour)]
            for name, row in rows.items()
        ],
        numbers_right=True,
    )
    note = "Movements are median shares of the distance between any two RNNs; 0 is rounding."
    return f"{growth}\n\n{note}\n\n{apart}\n"


def _movement(movement: Movement) -> str:
    return "0" if movement.is_unmoved else _share(movement.median)


def _share(value: float) -> str:
    if value < UNMOVED:
        return "0"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.0e}"
