"""Modules that answer as what was read of them pass, however they are called; those that do something else do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.verify import distance

Forward = Callable[[Any, Any], Any]


class Net(nn.Module):
    """Two recurrent layers under a readout, and whatever is done with them."""

    def __init__(self, forward: Forward, *, outputs: int = 3, batch_first: bool = True, num_layers: int = 2) -> None:
        super().__init__()
        self.core1 = nn.GRU(4, 4, batch_first=batch_first)
        self.core2 = nn.GRU(4, 4, batch_first=batch_first) if num_layers == 2 else None
        self.head = nn.Linear(4, outputs)
        self.dropout = nn.Dropout(0.5)
        self._forward = forward
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-0.6, 0.6, generator=generator)

    def layers(self, inputs: Tensor) -> Tensor:
        below = self.core1(inputs)[0]
        return below if self.core2 is None else self.core2(below)[0]

    def forward(self, inputs: Any) -> Any:
        return self._forward(self, inputs)


THE_SAME: dict[str, Forward] = {
    "every step": lambda net, x: net.head(net.layers(x)),
    "the last step": lambda net, x: net.head(net.layers(x)[:, -1]),
    "dropout in training": lambda net, x: net.head(net.dropout(net.layers(x))),
    "probabilities": lambda net, x: net.head(net.layers(x)).softmax(dim=-1),
    "log-probabilities": lambda net, x: net.head(net.layers(x)).log_softmax(dim=-1),
    "a second head": lambda net, x: (net.layers(x).mean(dim=-1), [net.head(net.layers(x))]),
    "a dictionary": lambda net, x: {"hidden": net.layers(x), "logits": net.head(net.layers(x))},
    "another order": lambda net, x: net.head(net.core1(net.core2(x)[0])[0]),
    "a sigmoid": lambda net, x: net.head(net.layers(x)).sigmoid(),
    "tokens": lambda net, x: net.head(net.layers(nn.functional.one_hot(x, 4).float())),
}
ANOTHER: dict[str, Forward] = {
    "a nonlinearity": lambda net, x: net.head(net.layers(x).relu()),
    "a residual": lambda net, x: net.head(net.layers(x) + x),
    "a scaling": lambda net, x: net.head(net.layers(1.001 * x)),
    "the mean over steps": lambda net, x: net.head(net.layers(x).mean(dim=1)),
    "time backwards": lambda net, x: net.head(net.layers(x.flip(1)).flip(1)),
    "NaN": lambda net, x: torch.nan * net.head(net.layers(x)),
    "another size": lambda net, x: net.layers(x)[..., :2],
}


@pytest.mark.parametrize("forward", THE_SAME.values(), ids=THE_SAME.keys())
def test_what_answers_the_same_passes(forward: Forward) -> None:
    net = Net(forward)
    net.head.eval()
    assert RNNStack.from_modules([net]).spec.num_layers == 2
    assert (net.training, net.dropout.training, net.head.training) == (True, True, False)


@pytest.mark.parametrize("forward", ANOTHER.values(), ids=ANOTHER.keys())
def test_what_does_something_else_does_not(forward: Forward) -> None:
    nets = [Net(THE_SAME["every step"]), Net(forward)]
    with pytest.raises(UsageError, match=r"RNN 1: Net answers otherwise(.|\n)*ModuleBlackBox"):
        RNNStack.from_modules(nets)
    assert len(RNNStack.from_modules(nets, verify=False, layers=("core1", "core2"))) == 2


def test_a_single_output_is_not_taken_for_a_softmax() -> None:
    with pytest.raises(UsageError, match="answers otherwise"):
        RNNStack.from_modules([Net(lambda net, x: net.head(net.layers(x)).softmax(dim=-1), outputs=1)])


@pytest.mark.parametrize("last", [False, True])
def test_time_may_be_first(last: bool) -> None:
    net = Net(lambda net, x: net.head(net.layers(x)[-1] if last else net.layers(x)), batch_first=False)
    RNNStack.from_modules([net])


class Stepwise(nn.Module):
    """A policy's memory: one step at a time, with the state in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 5)
        self.actor = nn.Linear(5, 3)

    def forward(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        state = self.cell(observation, state)
        return self.actor(state[0]), state


def test_a_module_may_go_step_by_step() -> None:
    assert RNNStack.from_modules([Stepwise()]).spec.cell == "lstm"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rounding_is_no_difference(dtype: torch.dtype) -> None:
    RNNStack.from_modules([Net(THE_SAME["every step"]).to(dtype)])


def test_what_cannot_be_run_is_said_with_the_reason() -> None:
    def of_a_dictionary(_: nn.Module, batch: Any) -> Any:
        return batch.features

    words = (
        r"Net could not be run on inputs of shape \(2, 4, 4\)(.|\n)*AttributeError: .*'features'(.|\n)*\(B, T, inputs"
    )
    with pytest.raises(UsageError, match=words):
        RNNStack.from_modules([Net(of_a_dictionary)])


def test_parts_without_a_forward_are_taken_at_their_weights() -> None:
    net = Net(THE_SAME["every step"])
    RNNStack.from_modules([nn.ModuleDict({"core": net.core1, "head": net.head})])


def test_embedding_and_fitting_verify_too() -> None:
    spec = RNNSpec(cell="gru", input_size=4, hidden_size=4, num_layers=1, output_size=3)
    nets = [Net(ANOTHER["a nonlinearity"]) for _ in range(4)]
    inputs = np.random.default_rng(0).normal(size=(4, 5, 4))
    config = PretrainConfig(num_steps=1, encoder_options={"hidden_size": 4})
    with pytest.raises(UsageError, match=r"item 0: Net answers otherwise"):
        Rnn2Vec.fit(nets, inputs, config=config)
    nets = [Net(ANOTHER["a nonlinearity"], num_layers=1) for _ in range(4)]
    rnn2vec = Rnn2Vec.fit(nets, inputs, config=config, verify=False)
    assert rnn2vec.spec == spec
    with pytest.raises(UsageError, match=r"item 0: Net answers otherwise"):
        rnn2vec.embed(nets)
    assert rnn2vec.embed(nets, verify=False).shape == (4, 16)


def test_distances_are_in_largest_answers() -> None:
    rows = torch.tensor([[[1.0, -4.0], [2.0, 0.0]]])
    assert distance(rows + torch.tensor([0.4, 0.0]), rows, rows) == pytest.approx(0.1)
    assert distance(torch.zeros(7), rows, rows) == float("inf")
