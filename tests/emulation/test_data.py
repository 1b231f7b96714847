"""RNNs and their rollouts: what is trained on is what the RNNs really do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.emulation.data import SplitData
from rnn2vec.tasks.base import Split
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo

SPLITS: list[Split] = ["train", "validation", "ood"]


@pytest.mark.parametrize("split", SPLITS)
def test_it_is_the_split_and_nothing_else(tiny_zoo: Zoo, split: Split) -> None:
    data = SplitData(tiny_zoo, split)
    assert len(data) == len(data.rnns) == len(data.codes) == len(data.steps) == len(data.tasks) > 0
    assert (tiny_zoo.column("split")[data.indices] == split).all()
    assert torch.equal(data.rnns.flatten(), tiny_zoo.rnns(data.indices).flatten())
    assert data.tasks == tiny_zoo.tasks(data.indices)


def test_the_splits_share_no_task(tiny_zoo: Zoo) -> None:
    tasks = [set(SplitData(tiny_zoo, split).tasks) for split in SPLITS]
    assert not tasks[0] & tasks[1]
    assert not tasks[0] & tasks[2]
    assert not tasks[1] & tasks[2]


def test_outputs_are_the_rnns_own_on_their_own_rollouts(tiny_zoo: Zoo) -> None:
    """Module by module with `torch.nn`, token by token."""
    data, family = SplitData(tiny_zoo, "train"), tiny_zoo.family
    assert isinstance(family, FormalLanguages)
    rnns, rollouts = np.array([3, 0, 3]), np.array([[0, 7], [5, 5], [19, 1]])
    behaviour = data.behaviour(rnns, rollouts)

    assert behaviour.inputs.shape == (3, 2, 41, 6)
    assert behaviour.outputs.shape == (3, 2, 41, 6)
    for n, rnn in enumerate(rnns):
        module = data.rnns.select([int(rnn)]).to_modules()[0]
        for b, rollout in enumerate(rollouts[n]):
            tokens = data.codes[rnn, rollout]
            inputs = torch.eye(6)[tokens[:-1].long()]
            assert torch.equal(behaviour.inputs[n, b], inputs)
            torch.testing.assert_close(behaviour.outputs[n, b], module(inputs[None])[0][0], rtol=0, atol=1e-5)
            text = family.decode(tokens)
            length = text.index(".") + 1 if "." in text else 41
            assert behaviour.before_end[n, b].tolist() == [True] * length + [False] * (41 - length)


def test_the_first_rollouts_are_everyones(tiny_zoo: Zoo) -> None:
    data = SplitData(tiny_zoo, "validation")
    behaviour = data.first_rollouts(3)
    assert torch.equal(behaviour.inputs, tiny_zoo.family.rollout_inputs(data.codes[:, :3], data.tasks))
    assert torch.equal(behaviour.rnns.flatten(), data.rnns.flatten())


def test_no_more_rollouts_than_are_stored(tiny_zoo: Zoo) -> None:
    data = SplitData(tiny_zoo, "validation")
    assert data.first_rollouts(10_000).inputs.shape[1] == data.codes.shape[1]


def test_no_gradient_goes_into_the_rnns(tiny_zoo: Zoo) -> None:
    behaviour = SplitData(tiny_zoo, "validation").first_rollouts(1)
    assert not behaviour.outputs.requires_grad


# -- refused ---------------------------------------------------------------------------------------


def test_a_zoo_without_a_validation_task_is_refused(tmp_path: Path) -> None:
    config = ZooConfig(num_runs=1, num_steps=1, hidden_size=2, num_rollouts=1, num_episodes=1, backend="torch")
    zoo = build_zoo(config, tmp_path / "zoo")
    with pytest.raises(UsageError, match=r"zoo has no RNN in its validation split\n.*more runs: two have both"):
        SplitData(zoo, "validation")


def test_one_diverged_rnn_is_not_trained_on(small_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    rnns = small_zoo.rnns(range(len(small_zoo)))
    flat = rnns.flatten().clone()
    flat[:, 7] = torch.nan
    monkeypatch.setattr(Zoo, "rnns", lambda *_: type(rnns).from_flat(rnns.spec, flat))
    with pytest.raises(DataError, match=r"zoo, train split: RNN 0 has NaN or infinite numbers in rnn.*\n.*zoo verify"):
        SplitData(small_zoo, "train")
