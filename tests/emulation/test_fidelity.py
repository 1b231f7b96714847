"""How well RNNs are emulated: against a slow version, with a perfect emulator, and without any knowledge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec.emulation import losses
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.emulation.fidelity import closed_form_floor, emulation_fidelity, fidelity
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo


def _draws(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["categorical", "continuous"])
def test_means_are_those_of_the_slow_version(kind: losses.Kind) -> None:
    rnn, emulated = _draws(3, 2, 5, 4, seed=1), _draws(3, 2, 5, 4, seed=2)
    ends = torch.tensor([[5, 1], [2, 3], [4, 4]])
    before_end = torch.arange(5) < ends[..., None]
    result = fidelity(rnn, emulated, before_end, kind)

    for name, distance in losses.distances(kind).items():
        for n in range(3):
            everywhere = [distance(rnn[n, b, t], emulated[n, b, t]).item() for b in range(2) for t in range(5)]
            to_end = [distance(rnn[n, b, t], emulated[n, b, t]).item() for b in range(2) for t in range(ends[n, b])]
            assert result[name][n] == pytest.approx(np.mean(everywhere), abs=1e-6)
            assert result[f"{name}/to-end"][n] == pytest.approx(np.mean(to_end), abs=1e-6)


class _Perfect(Emulator):
    """It does not look at the representation: it is the RNN."""

    def __init__(self, rnns: RNNStack) -> None:
        super().__init__(rnns.spec.input_size, rnns.spec.output_size)
        self._rnns = rnns

    def forward(self, representations: Tensor, inputs: Tensor) -> Tensor:  # noqa: ARG002
        return self._rnns(inputs)[0]


class _Anything(WeightEncoder):
    name = "anything"

    def encode(self, rnns: RNNStack) -> Tensor:
        return torch.ones(len(rnns), self.representation_size)


def test_an_emulator_that_is_the_rnn_is_at_distance_0(tiny_zoo: Zoo) -> None:
    data = SplitData(tiny_zoo, "validation")
    encoder = _Anything(tiny_zoo.spec, interface=tiny_zoo.family.interface)
    result = emulation_fidelity(encoder, _Perfect(data.rnns), data.first_rollouts(3))
    assert len(result) == 8
    for values in result.values():
        assert values.shape == (len(data),)
        assert np.abs(values).max() < 1e-6


def test_many_rnns_are_measured_in_parts(tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SplitData(tiny_zoo, "train")
    encoder = _Anything(tiny_zoo.spec, interface=tiny_zoo.family.interface)
    emulator = Emulator.build(tiny_zoo.spec, representation_size=16, seed=0, hidden_size=8)
    at_once = emulation_fidelity(encoder, emulator, data.first_rollouts(2))
    monkeypatch.setattr("rnn2vec.emulation.fidelity._RNNS_AT_ONCE", 3)
    in_parts = emulation_fidelity(encoder, emulator, data.first_rollouts(2))
    assert len(data) > 3
    for name, values in at_once.items():
        np.testing.assert_allclose(in_parts[name], values, rtol=0, atol=1e-6)


# -- the task-blind floor --------------------------------------------------------------------------


def test_the_floor_is_the_distance_of_the_familys_own_prediction(tiny_zoo: Zoo) -> None:
    data = SplitData(tiny_zoo, "validation")
    floor = closed_form_floor(data, 2)
    assert floor is not None

    behaviour = data.first_rollouts(2)
    predicted = tiny_zoo.family.task_blind_prediction(data.codes[:, :2])
    assert predicted is not None
    slow = (behaviour.outputs.softmax(dim=-1) - predicted).abs().sum(dim=-1) / 2
    np.testing.assert_allclose(floor["total-variation"], slow.mean(dim=(1, 2)).numpy(), rtol=0, atol=1e-5)
    assert all(np.isfinite(values).all() for values in floor.values())


def test_the_floor_uses_what_rollouts_there_are(tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SplitData(tiny_zoo, "validation")
    asked: list[int] = []

    def uniform(_: object, codes: Tensor) -> Tensor:
        asked.append(codes.shape[1])
        return torch.full((*codes.shape[:2], 41, 6), 1 / 6)

    monkeypatch.setattr(type(data.family), "task_blind_prediction", uniform)
    floor = closed_form_floor(data, 10_000)
    assert asked == [data.codes.shape[1]]
    assert floor is not None
    assert floor["total-variation"].shape == (len(data),)


@pytest.mark.usefixtures("without_type_checks")
def test_a_family_without_a_closed_form_has_no_floor(tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SplitData(tiny_zoo, "validation")
    blind: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(type(data.family), "task_blind_prediction", blind)
    assert closed_form_floor(data, 2) is None
