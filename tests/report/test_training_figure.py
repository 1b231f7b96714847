"""The figure of a zoo's training: its content, and its reproducibility."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rnn2vec._errors import DataError
from rnn2vec.report.training_figure import draw_training
from rnn2vec.zoo.store import Zoo


def test_it_shows_steps_performance_and_both_losses(tiny_mnist_zoo: Zoo, tmp_path: Path) -> None:
    draw_training(tiny_mnist_zoo, tmp_path / "zoo.svg")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "zoo.svg").read_text())
    assert {"tiled-mnist, 4 runs", "performance", "train loss", "validation loss", "updates", "0", "40"} <= set(texts)
    draw_training(tiny_mnist_zoo, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "zoo.svg").read_bytes()


def test_its_curves_are_the_runs_and_their_mean(
    tiny_mnist_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("rnn2vec.report.training_figure.save_svg", lambda figure, path: drawn.append((figure, path)))
    draw_training(tiny_mnist_zoo, tmp_path / "zoo.svg")
    ((figure, _),) = drawn
    performance, losses = figure.axes
    *runs, mean = (line.get_ydata() for line in performance.lines)
    expected = tiny_mnist_zoo.column("performance").reshape(4, 2)
    np.testing.assert_allclose(np.stack(runs), expected)
    np.testing.assert_allclose(mean, expected.mean(axis=0))
    assert len(losses.lines) == 2 * 5


def test_a_run_that_lacks_a_snapshot_is_named(
    tiny_mnist_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = Zoo.open(tiny_mnist_zoo.folder)
    shorter = {name: zoo.column(name)[:-1] for name in zoo.properties.column_names}
    monkeypatch.setattr(zoo, "column", shorter.__getitem__)
    with pytest.raises(DataError, match=r"run 3 has 1 of 2 snapshots(.|\n)*all snapshots of its runs"):
        draw_training(zoo, tmp_path / "zoo.svg")
    assert not (tmp_path / "zoo.svg").exists()
