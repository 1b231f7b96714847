"""The experiment on a zoo, end to end and small: what is in the results, and that it can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.experiments.interrogation.rnn_experiment import offset_accuracy, representations_along, run_on_zoo
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Six RNNs that have hardly learned anything."""
    options = {"alphabet_size": 2, "smallest_offset": -1, "largest_offset": 1, "n_max": 4, "sequence_length": 14}
    config = ZooConfig(
        family_options=options,
        num_runs=6,
        num_steps=30,
        hidden_size=8,
        num_episodes=10,
        num_rollouts=4,
        backend="torch",
    )
    return build_zoo(config, tmp_path_factory.mktemp("interrogation") / "zoo")


def test_every_snapshot_is_counted_once(zoo: Zoo) -> None:
    results = run_on_zoo(zoo, None, budget=12)
    assert sum(tally.num_rnns for tally in results.tallies) == len(zoo)
    for tally in results.tallies:
        assert tally.right + tally.wrong + tally.unsure + tally.unknown == pytest.approx(1)
        assert tally.worst_calls <= 12
    assert len(results.classical.calls) == len(results.classical.accuracy) == 12
    assert (results.learned, results.learned_offsets) == (None, {})


def test_untrained_rnns_are_not_named(zoo: Zoo) -> None:
    first = run_on_zoo(zoo, None).tallies[0]
    assert first.what == "after 0 updates"
    assert first.right == first.wrong == 0


def test_the_same_seed_gives_the_same_results(zoo: Zoo) -> None:
    assert run_on_zoo(zoo, None, budget=8, most=2) == run_on_zoo(zoo, None, budget=8, most=2)


def test_representations_along_the_dialogue_end_in_the_encoders_own(zoo: Zoo) -> None:
    encoder = encoders.build(
        "interactive-probing", zoo.spec, interface=zoo.family.interface, hidden_size=16, sequence_length=5
    )
    rnns = zoo.rnns(range(4))
    along = representations_along(encoder, rnns)
    assert along.shape == (5, 4, 16)
    with torch.no_grad():
        np.testing.assert_allclose(along[-1], encoder(rnns).numpy(), atol=1e-6)


def test_an_encoder_that_does_not_probe_is_refused(zoo: Zoo) -> None:
    encoder = encoders.build("layerwise-statistics", zoo.spec, interface=zoo.family.interface)
    with pytest.raises(UsageError, match=r"layerwise-statistics does not probe\n.*probing encoder"):
        representations_along(encoder, RNNStack.from_flat(zoo.spec, torch.zeros(1, zoo.spec.num_parameters)))


def test_offsets_that_are_there_are_read_off() -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    offsets = generator.integers(-1, 2, size=(80, 2))
    vectors = np.concatenate([np.eye(3)[offsets[:, 0] + 1], generator.normal(size=(80, 4))], axis=1)
    every, first, second = offset_accuracy(vectors[:60], offsets[:60], vectors[60:], offsets[60:])
    assert first == 1.0
    assert second < 0.8
    assert every == second


def test_only_formal_languages(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(FormalLanguages):
        """Looks like no formal language from outside."""

    other = object.__new__(Other)
    monkeypatch.setattr("rnn2vec.experiments.interrogation.rnn_experiment.FormalLanguages", str)
    monkeypatch.setattr(zoo, "family", other)
    with pytest.raises(UsageError, match="is a zoo of formal-languages"):
        run_on_zoo(zoo, None)
