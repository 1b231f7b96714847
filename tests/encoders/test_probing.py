"""Probing: what is asked, of whom, and what is learned from it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import WeightEncoder, count_parameters
from rnn2vec.encoders.probing import InteractiveProbing, ProbingEncoder
from rnn2vec.rnn.blackbox import BlackBox, FunctionBlackBox, ModuleBlackBox, StackBlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

BOTH = ["noninteractive-probing", "interactive-probing"]
TOKENS = Interface(input_kind="categorical", output_kind="categorical")
SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=5, num_layers=2, output_size=4)
TILES = RNNSpec(cell="lstm", input_size=3, hidden_size=5, num_layers=1, output_size=4)
RANGE = Interface(output_kind="categorical", first_input=(0.0, 0.0, 0.0), input_range=(-0.42, 2.82))
SIZES: dict[str, Any] = {"input_size": 4, "output_size": 4}
KINDS: dict[str, Any] = {"input_kind": "categorical", "output_kind": "categorical"}
MakeEncoder = Callable[..., WeightEncoder]
MakeRNNs = Callable[..., RNNStack]


def _probes(encoder: WeightEncoder, rnns: RNNStack | BlackBox) -> Tensor:
    """All that was asked, `(N, L, M, I)`."""
    assert isinstance(encoder, ProbingEncoder)
    return torch.stack([exchange.probes for exchange in encoder.dialogue(rnns)], dim=1)


def _as_function(stack: RNNStack) -> FunctionBlackBox:
    """Wrap an RNN as a Python function on NumPy arrays."""

    def step(vector: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        with torch.no_grad():
            outputs, state = stack.step(torch.from_numpy(vector)[None, None], state)
        return outputs[0, 0].numpy(), state

    return FunctionBlackBox(step, lambda: stack.initial_state(1), **SIZES, **KINDS)


# -- whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_a_stack_and_black_boxes_of_the_same_rnns_get_the_same_vectors(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, stack = small_encoder(name, SPEC).double(), random_rnns(SPEC, 3, torch.float64)
    expected = encoder(stack)

    together = encoder(StackBlackBox(stack, **KINDS))
    modules = [encoder(ModuleBlackBox(module, **SIZES, **KINDS)) for module in stack.to_modules()]
    functions = [encoder(_as_function(stack.select([number]))) for number in range(3)]
    for given in (together, torch.cat(modules), torch.cat(functions)):
        torch.testing.assert_close(given, expected, rtol=0, atol=1e-12)


def test_a_black_box_is_asked_in_whatever_float_type_it_computes(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs
) -> None:
    encoder, stack = small_encoder("interactive-probing", SPEC), random_rnns(SPEC, 1, torch.float64)
    expected = encoder(stack.to(torch.float32))
    for box in (StackBlackBox(stack, **KINDS), ModuleBlackBox(stack.to_modules()[0], **SIZES, **KINDS)):
        torch.testing.assert_close(encoder(box), expected, rtol=0, atol=1e-5)


class Picky:
    """A user's black box that accepts only one float type."""

    num_rnns, input_size, output_size = 1, 4, 4
    input_kind = output_kind = "categorical"

    def __init__(self) -> None:
        self.weight = torch.eye(4, dtype=torch.float64)

    def initial_state(self, num_sequences: int) -> Any:  # noqa: ARG002
        return None

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        return inputs @ self.weight, state


def test_a_black_box_that_knows_one_float_type_is_told_of_the_other(small_encoder: MakeEncoder) -> None:
    words = r"this Picky failed on a step of \(1, \d+, 4\) float32 on cpu \((.|\n)*inputs\.to\("
    with pytest.raises(UsageError, match=words):
        small_encoder("interactive-probing", SPEC)(Picky())


@pytest.mark.parametrize("name", BOTH)
def test_any_cell_and_size_will_do(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    encoder = small_encoder(name, SPEC)
    for cell, hidden_size, num_layers in (("lstm", 3, 1), ("rnn_tanh", 9, 3), ("rnn_relu", 2, 1)):
        spec = RNNSpec(cell=cell, input_size=4, hidden_size=hidden_size, num_layers=num_layers, output_size=4)
        assert encoder(random_rnns(spec, 2)).shape == (2, 16)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("change", [{"input_size": 5}, {"output_size": 3}])
def test_other_inputs_or_outputs_are_refused(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, change: dict[str, int]
) -> None:
    other = RNNSpec(**{**SPEC.to_dict(), **change})
    words = rf"{other.input_size} categorical inputs and {other.output_size} categorical outputs, but this {name}"
    with pytest.raises(UsageError, match=rf"the RNNs have {words} .* 4 categorical inputs and 4 .*\n.*these inputs"):
        small_encoder(name, SPEC)(random_rnns(other, 2))


@pytest.mark.parametrize("name", BOTH)
def test_a_black_box_of_another_kind_is_refused(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    box = StackBlackBox(random_rnns(SPEC), input_kind="continuous", output_kind="categorical")
    with pytest.raises(UsageError, match=r"the RNNs have 4 continuous inputs .* made for 4 categorical inputs"):
        small_encoder(name, SPEC)(box)


# -- what is asked ---------------------------------------------------------------------------------


def test_static_probes_are_the_same_for_every_rnn_and_interactive_ones_are_not(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs
) -> None:
    stack = random_rnns(SPEC, 4)
    static = _probes(small_encoder("noninteractive-probing", SPEC), stack)
    interactive = _probes(small_encoder("interactive-probing", SPEC), stack)

    assert torch.equal(static, static[:1].expand_as(static))
    assert torch.equal(interactive[:, 0], interactive[:1, 0].expand(4, -1, -1))  # nothing is known yet
    for step in range(1, 5):
        differences = torch.cdist(interactive[:, step].flatten(1), interactive[:, step].flatten(1)) + torch.eye(4)
        assert differences.min() > 1e-6


@pytest.mark.parametrize("name", BOTH)
def test_a_dialogue_has_l_exchanges_of_m_probes(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    encoder = small_encoder(name, SPEC, num_sequences=3, sequence_length=7, hidden_size=10)
    assert isinstance(encoder, ProbingEncoder)
    exchanges = list(encoder.dialogue(random_rnns(SPEC, 2)))

    assert len(exchanges) == 7
    for exchange in exchanges:
        assert exchange.probes.shape == exchange.responses.shape == (2, 3, 4)
        assert exchange.memory[-1][0].shape == (2, 10)
        torch.testing.assert_close(exchange.responses.exp().sum(dim=-1), torch.ones(2, 3))  # log-probabilities


@pytest.mark.parametrize("name", BOTH)
def test_answers_are_those_of_the_rnn_to_the_probes(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, stack = small_encoder(name, SPEC, normalize=False), random_rnns(SPEC, 2)
    assert isinstance(encoder, ProbingEncoder)
    answers = torch.stack([exchange.responses for exchange in encoder.dialogue(stack)], dim=2)
    torch.testing.assert_close(answers, stack(_probes(encoder, stack).transpose(1, 2))[0])


@pytest.mark.parametrize("name", BOTH)
def test_the_first_probe_is_how_sequences_begin(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    stack = random_rnns(SPEC, 2)
    bos = torch.tensor([0.0, 0.0, 1.0, 0.0])
    assert torch.equal(_probes(small_encoder(name, SPEC), stack)[:, 0], bos.expand(2, 3, 4))
    assert not torch.equal(_probes(small_encoder(name, SPEC, first_input=False), stack)[:, 0], bos.expand(2, 3, 4))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("options", [{}, {"first_input": False}])
def test_tokens_are_probed_on_the_simplex(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, options: dict[str, Any]
) -> None:
    encoder = _exaggerated(small_encoder(name, SPEC, **options))
    probes = _probes(encoder, random_rnns(SPEC, 3))
    assert (probes >= 0).all()
    torch.testing.assert_close(probes.sum(dim=-1), torch.ones(3, 5, 3))


@pytest.mark.parametrize("name", BOTH)
def test_continuous_probes_reach_the_ends_of_the_input_range_and_no_further(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    probes = _probes(_exaggerated(small_encoder(name, TILES, interface=RANGE)), random_rnns(TILES, 3))
    assert probes.min() >= -0.42
    assert probes.max() <= 2.82
    assert probes.min() < -0.4
    assert probes.max() > 2.8
    assert torch.equal(probes[:, 0], torch.zeros(3, 3, 3))


def _exaggerated(encoder: WeightEncoder) -> WeightEncoder:
    """The same encoder with extreme probes."""
    assert isinstance(encoder, ProbingEncoder)
    with torch.no_grad():
        for parameter in encoder.probe_maker.parameters():
            parameter.mul_(20)
    return encoder


# -- anytime and transcripts -----------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_a_representation_after_every_probe_is_that_of_the_dialogue_so_far(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    """The first three exchanges say what an encoder that asks three times only would have said."""
    stack = random_rnns(SPEC, 3)
    encoder, short = small_encoder(name, SPEC), small_encoder(name, SPEC, sequence_length=3)
    assert isinstance(encoder, ProbingEncoder)
    weights = encoder.state_dict()
    if name == "noninteractive-probing":
        weights["script"] = weights["script"][:3]
    short.load_state_dict(weights)
    known = list(encoder.anytime(stack))

    assert len(known) == 5
    torch.testing.assert_close(known[2], short(stack))
    torch.testing.assert_close(known[-1], encoder(stack))
    assert (known[0] - known[-1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", BOTH)
def test_who_has_heard_enough_need_not_ask_on(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    stack, steps = random_rnns(SPEC, 1), 0

    def answer(vector: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        nonlocal steps
        steps += 1
        return _as_function(stack).step(torch.from_numpy(vector)[None, None], state)[0][0, 0].numpy(), state

    box = FunctionBlackBox(answer, lambda: [stack.initial_state(1)], **SIZES, **KINDS)
    encoder = small_encoder(name, SPEC)
    assert isinstance(encoder, ProbingEncoder)
    next(encoder.anytime(box))
    assert steps == 3  # one exchange of three sequences


@pytest.mark.parametrize("name", BOTH)
def test_a_transcript_has_all_that_was_asked_answered_and_known(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, stack = small_encoder(name, SPEC), random_rnns(SPEC, 2)
    assert isinstance(encoder, ProbingEncoder)
    said = encoder.probing_transcript(stack)

    assert said.probes.shape == said.responses.shape == (2, 3, 5, 4)
    torch.testing.assert_close(said.responses, stack(said.probes)[0].log_softmax(dim=-1))
    torch.testing.assert_close(said.representations, torch.stack(list(encoder.anytime(stack)), dim=1))
    torch.testing.assert_close(said.representations[:, -1], encoder(stack))


@pytest.mark.parametrize("name", BOTH)
def test_the_wrong_rnns_get_no_answer_before_the_first_probe(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, other = small_encoder(name, SPEC), random_rnns(TILES, 2)
    assert isinstance(encoder, ProbingEncoder)
    for ask in (encoder.anytime, encoder.probing_transcript):
        with pytest.raises(UsageError, match="the RNNs have 3 categorical inputs"):
            ask(other)


# -- self-feeding ----------------------------------------------------------------------------------


def test_self_feeding_begins_with_the_rnns_own_prediction(random_rnns: MakeRNNs, small_encoder: MakeEncoder) -> None:
    stack = random_rnns(SPEC, 3)
    encoder = small_encoder("interactive-probing", SPEC)
    assert isinstance(encoder, ProbingEncoder)
    exchanges = list(encoder.dialogue(stack))
    for before, after in itertools.pairwise(exchanges):
        away = (after.probes - before.responses.exp()).abs().sum(dim=-1) / 2
        assert away.max() < 0.3  # the gate starts at about 0.88


def test_self_feeding_can_be_switched_off(random_rnns: MakeRNNs, small_encoder: MakeEncoder) -> None:
    stack = random_rnns(SPEC, 3)
    encoder = small_encoder("interactive-probing", SPEC, probe_start="learned")
    assert encoder(stack).shape == (3, 16)
    assert len(_probes(encoder, stack)[0]) == 5


def test_a_closed_gate_asks_as_without_self_feeding(random_rnns: MakeRNNs, small_encoder: MakeEncoder) -> None:
    """Set the gate to 0, so that a probe is the learned one and does not depend on the RNN's prediction."""
    encoder = small_encoder("interactive-probing", SPEC)
    assert isinstance(encoder, ProbingEncoder)
    last = encoder.probe_maker[-1]
    with torch.no_grad():
        last.bias.view(3, 5)[:, -1] = -1e4
        last.weight.zero_()
    probes = _probes(encoder, random_rnns(SPEC, 3))
    learned = last.bias.view(3, 5)[:, :-1].softmax(dim=-1)
    torch.testing.assert_close(probes[:, 1:], learned.expand(3, 4, 3, 4))


@pytest.mark.parametrize(
    ("spec", "interface"),
    [
        (TILES, RANGE),
        (SPEC, Interface(input_kind="categorical", output_kind="continuous")),
        (SPEC, Interface(input_kind="continuous", output_kind="categorical")),
        (TILES, Interface(input_kind="categorical", output_kind="categorical")),
    ],
)
def test_self_feeding_is_refused_where_an_output_is_no_input(spec: RNNSpec, interface: Interface) -> None:
    with pytest.raises(
        UsageError, match=r"probe_start='self-feeding' with \d .* inputs and \d .* outputs\n.*'learned'"
    ):
        encoders.build("interactive-probing", spec, interface=interface, probe_start="self-feeding")
    without = encoders.build("interactive-probing", spec, interface=interface, hidden_size=4)
    assert isinstance(without, InteractiveProbing)
    assert without.probe_start == "learned"


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown probe_start 'selffeeding'\n.*did you mean 'self-feeding'\?"):
        encoders.build("interactive-probing", SPEC, interface=TOKENS, probe_start="selffeeding")


# -- learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("options", [{}, {"first_input": False}, {"normalize": False}])
def test_gradients_reach_every_parameter(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, options: dict[str, Any]
) -> None:
    encoder = small_encoder(name, SPEC, **options)
    encoder(random_rnns(SPEC, 4))[:, ::2].sum().backward()
    gradients = {key: parameter.grad for key, parameter in encoder.named_parameters()}

    assert {key for key, gradient in gradients.items() if gradient is None or not gradient.any()} == set()
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    if name == "noninteractive-probing":  # a row of the script per step; BOS takes the first one's place
        used = gradients["script"].any(dim=1)
        assert used.tolist() == [options.get("first_input") is False, True, True, True, True]


@pytest.mark.parametrize("name", BOTH)
def test_gradients_pass_through_continuous_rnns(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    spec = RNNSpec(cell="lstm", input_size=3, hidden_size=5, num_layers=1, output_size=4)
    encoder = small_encoder(name, spec, interface=Interface())
    encoder(random_rnns(spec, 4))[:, 0].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoder.parameters())


@pytest.mark.parametrize("name", BOTH)
def test_one_probe_is_a_dialogue_too(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    stack = random_rnns(SPEC, 3)
    free = small_encoder(name, SPEC, sequence_length=1, first_input=False)
    free(stack)[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in free.parameters())

    fixed = small_encoder(name, SPEC, sequence_length=1)  # BOS is all that it asks: nothing to learn about asking
    fixed(stack)[:, 0].sum().backward()
    unused = {key.split(".")[0] for key, parameter in fixed.named_parameters() if parameter.grad is None}
    assert unused == {"probe_maker"} | ({"script"} if name == "noninteractive-probing" else set())


@pytest.mark.parametrize("name", BOTH)
def test_the_reader_starts_out_remembering(small_encoder: MakeEncoder, name: str) -> None:
    plain = small_encoder(name, SPEC, forget_bias=0.0).state_dict()
    remembering = small_encoder(name, SPEC, forget_bias=1.0).state_dict()
    for layer in range(2):
        raised = remembering[f"reader.{layer}.bias_hh"] - plain[f"reader.{layer}.bias_hh"]
        torch.testing.assert_close(raised, torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(10))


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("option", ["num_sequences", "sequence_length"])
def test_without_probes_there_is_no_encoder(small_encoder: MakeEncoder, name: str, option: str) -> None:
    with pytest.raises(UsageError, match=rf"{option}=0(.|\n)*at least 1"):
        small_encoder(name, SPEC, **{option: 0})


@pytest.mark.parametrize("name", BOTH)
def test_the_interface_of_another_family_is_refused(small_encoder: MakeEncoder, name: str) -> None:
    with pytest.raises(UsageError, match=r"first_input has 3 numbers, but the RNNs have 4 inputs\n.*first_input=False"):
        small_encoder(name, SPEC, interface=RANGE)
    assert small_encoder(name, SPEC, interface=RANGE, first_input=False)


@pytest.mark.parametrize("name", BOTH)
def test_the_extra_step_reads_a_learned_vector_after_the_last_answer(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    plain, longer = (small_encoder(name, SPEC, hidden_size=10, extra_step=extra) for extra in (False, True))
    assert isinstance(longer, ProbingEncoder)
    assert longer.end is not None
    assert count_parameters(longer) - count_parameters(plain) == 10
    rnns = random_rnns(SPEC, 2)
    *_, last = longer.dialogue(rnns)
    once_more = last.reader.step(longer.end.expand(2, -1), last.memory)[-1][0]
    torch.testing.assert_close(longer(rnns), longer.scaled(longer.to_representation(once_more)))
    torch.testing.assert_close(longer(rnns), longer.probing_transcript(rnns).representations[:, -1])
    longer(rnns).sum().backward()
    assert longer.end.grad is not None
    assert longer.end.grad.abs().max() > 0
