"""Random module graphs: those of documented kinds are read, right to 1e-5; all others are refused, or right.

The grammar. A module is a front, a core, a middle and a head:

    front  := nothing | embedding | linear | scaling by named buffers         (documented)
            | clip | window of the last k steps | tanh | reversal of time
    core   := layers of one module | numbered siblings | named modules that run in another order than they sort
            | cells, step by step                                             (documented)
            | residual around the second | a second branch, added
    middle := nothing | dropout                                               (documented)
            | relu | clip at half a unit | normalization over features
    head   := linear | two linear heads beside each other, with softmax, sigmoid or neither, at every step or the last
                                                                              (documented)
            | perceptron | saturating tanh
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.stack import RNNStack

NUMBER, AT_LEAST = 200, 120
KINDS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "tanh": nn.RNN}
CELLS: dict[str, Any] = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "tanh": nn.RNNCell}
FRONTS = ["nothing", "nothing", "embedding", "linear", "scaling"], ["clip", "window", "tanh", "reversal"]
CORES = ["layers", "siblings", "other order", "cells"], ["residual", "branch"]
MIDDLES = ["nothing", "dropout"], ["relu", "clip", "normalization"]
HEADS = ["linear", "two", "softmax", "sigmoid", "last step"], ["perceptron", "saturating"]
INPUTS, HIDDEN, OUTPUTS, TOKENS = 3, 6, 2, 5


class Drawn(nn.Module):
    """A module drawn from the grammar."""

    def __init__(self, kind: str, front: str, core: str, middle: str, head: str) -> None:
        super().__init__()
        self.front, self.core, self.middle, self.end = front, core, middle, head
        width = HIDDEN if front == "linear" else INPUTS
        self.embed = nn.Embedding(TOKENS, INPUTS) if front == "embedding" else None
        self.linear = nn.Linear(INPUTS, HIDDEN) if front == "linear" else None
        if front == "scaling":
            self.register_buffer("mean", torch.randn(INPUTS))
            self.register_buffer("std", torch.rand(INPUTS) + 0.5)
        names = {"other order": ("z_rnn", "a_rnn")}.get(core, ("rnn1", "rnn2"))
        if core == "layers":
            self.rnn = KINDS[kind](width, HIDDEN, 2, batch_first=True)
        elif core == "cells":
            self.cells = nn.ModuleList([CELLS[kind](width, HIDDEN), CELLS[kind](HIDDEN, HIDDEN)])
        else:
            self.add_module(names[0], KINDS[kind](width, HIDDEN, batch_first=True))
            self.add_module(names[1], KINDS[kind](width if core == "branch" else HIDDEN, HIDDEN, batch_first=True))
        self.names = names
        self.dropout = nn.Dropout(0.5)
        self.hidden = nn.Linear(HIDDEN, HIDDEN) if head == "perceptron" else None
        self.head = nn.Linear(HIDDEN, OUTPUTS)
        self.second = nn.Linear(HIDDEN, 1) if head == "two" else None

    def forward(self, inputs: Tensor) -> Any:
        """Run the parts."""
        return self.read_out(self.between(self.recur(self.begin(inputs))))

    def begin(self, x: Tensor) -> Tensor:
        """Run what is in front."""
        ways: dict[str, Callable[[], Tensor]] = {
            "embedding": lambda: self.embed(x),
            "linear": lambda: self.linear(x),
            "scaling": lambda: (x - self.mean) / self.std,
            "clip": lambda: x.clamp(-8, 8),
            "window": lambda: torch.cat([torch.zeros_like(x[:, :-9]), x[:, -9:]], dim=1),
            "tanh": x.tanh,
            "reversal": lambda: x.flip(1),
        }
        return ways.get(self.front, lambda: x)()

    def recur(self, x: Tensor) -> Tensor:
        """Run the recurrent part."""
        if self.core == "layers":
            return self.rnn(x)[0]
        if self.core == "cells":
            return self.step_by_step(x)
        first, second = (self.get_submodule(name) for name in self.names)
        below = first(x)[0]
        if self.core == "branch":
            return below + second(x)[0]
        return second(below)[0] + (below if self.core == "residual" else 0)

    def step_by_step(self, x: Tensor) -> Tensor:
        """Run cells."""
        states: list[Any] = [None, None]
        outputs = []
        for step in x.unbind(1):
            below = step
            for at, cell in enumerate(self.cells):
                states[at] = cell(below, states[at])
                below = states[at][0] if isinstance(states[at], tuple) else states[at]
            outputs.append(below)
        return torch.stack(outputs, dim=1)

    def between(self, hidden: Tensor) -> Tensor:
        """Run what stands between."""
        ways: dict[str, Callable[[], Tensor]] = {
            "dropout": lambda: self.dropout(hidden),
            "relu": hidden.relu,
            "clip": lambda: hidden.clamp(-0.5, 0.5),
            "normalization": lambda: nn.functional.layer_norm(hidden, (HIDDEN,)),
        }
        return ways.get(self.middle, lambda: hidden)()

    def read_out(self, hidden: Tensor) -> Any:
        """Run the head."""
        logits = self.head(hidden if self.hidden is None else self.hidden(hidden).relu())
        ways: dict[str, Callable[[], Any]] = {
            "two": lambda: (logits, self.second(hidden)),
            "softmax": lambda: logits.softmax(-1),
            "sigmoid": logits.sigmoid,
            "last step": lambda: logits[:, -1],
            "saturating": logits.tanh,
        }
        return ways.get(self.end, lambda: logits)()


def _drawn(number: int) -> tuple[Drawn, bool]:
    """Return a module, and whether it is of a documented kind."""
    source = random.Random(number)
    odd = source.choice([None] * 8 + [0, 1, 2, 3])
    choices = [source.choice(options[at == odd]) for at, options in enumerate((FRONTS, CORES, MIDDLES, HEADS))]
    with torch.random.fork_rng():
        torch.manual_seed(number)
        module = Drawn(source.choice(list(KINDS)), *choices).eval()
        with torch.no_grad():
            for weight in module.parameters():
                weight.uniform_(-0.8, 0.8)
    return module, odd is None


def _difference(module: Drawn, stack: RNNStack, seed: int) -> float:
    """Return the largest difference on inputs that verification has not seen."""
    generator = torch.Generator().manual_seed(1000 + seed)
    given = 3 * torch.randn(4, 25, INPUTS, generator=generator)
    vectors = given
    if module.front == "embedding":
        given = torch.randint(TOKENS, (4, 25), generator=generator)
        vectors = nn.functional.one_hot(given, TOKENS).float()
    with torch.no_grad():
        expected = module(given)
    expected = torch.cat(expected, dim=-1) if isinstance(expected, tuple) else expected
    answers = stack(vectors[None])[0][0]
    answers = {"softmax": answers.softmax(-1), "sigmoid": answers.sigmoid()}.get(module.end, answers)
    answers = answers[:, -1] if module.end == "last step" else answers
    return float((answers - expected).abs().max() / expected.abs().max())


def test_no_random_module_is_read_as_another_function() -> None:
    num_documented, refused, wrong = 0, list[int](), list[int]()
    for number in range(NUMBER):
        module, is_documented = _drawn(number)
        num_documented += is_documented
        scaling = ("mean", "std") if module.front == "scaling" else None
        try:
            stack = RNNStack.from_modules([module], input_scaling=scaling)
        except UsageError:
            refused += [number] if is_documented else []
            continue
        wrong += [number] if _difference(module, stack, number) > 1e-5 else []
    assert num_documented >= AT_LEAST
    assert (refused, wrong) == ([], [])


@pytest.mark.parametrize("number", range(12))
def test_a_state_dict_alone_is_right_by_samples_or_refused(number: int) -> None:
    module, _ = _drawn(number)
    if module.front in {"embedding", "scaling"} or module.end == "two":
        return
    generator = torch.Generator().manual_seed(number)
    inputs = 2 * torch.randn(8, 30, INPUTS, generator=generator)
    with torch.no_grad():
        samples = inputs, module(inputs)
    cell = "rnn_tanh" if any(isinstance(part, nn.RNN | nn.RNNCell) for part in module.modules()) else None
    try:
        stack = RNNStack.from_state_dicts([module.state_dict()], cell=cell, check=samples)
    except UsageError:
        return
    assert _difference(module, stack, number) < 1e-5
