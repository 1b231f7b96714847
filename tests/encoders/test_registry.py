"""The registry: every encoder by name, with seeded weights, of the sizes that the paper prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import WeightEncoder, count_parameters
from rnn2vec.rnn.blackbox import StackBlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages

LANGUAGES = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
DIGITS = RNNSpec(cell="lstm", input_size=16, hidden_size=32, num_layers=2, output_size=10)
INTERFACES = {
    LANGUAGES: FormalLanguages().interface,
    DIGITS: Interface(output_kind="categorical", first_input=(0.0,) * 16, input_range=(-0.42, 2.82)),
}
SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=5, num_layers=2, output_size=4)
NAMES = ["layerwise-statistics", "flattened-weights", "noninteractive-probing", "interactive-probing", "task-blind"]
MECHANISTIC = ["layerwise-statistics", "flattened-weights"]
MakeEncoder = Callable[..., WeightEncoder]
MakeRNNs = Callable[..., RNNStack]


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("layerwise-statistics", LANGUAGES, 1_248_016),
        ("layerwise-statistics", DIGITS, 1_248_016),
        ("flattened-weights", LANGUAGES, 1_797_264),
        ("flattened-weights", DIGITS, 1_978_000),
    ],
)
def test_sizes_are_the_papers(name: str, spec: RNNSpec, expected: int) -> None:
    assert count_parameters(encoders.build(name, spec, interface=INTERFACES[spec])) == expected


@pytest.mark.parametrize(
    ("name", "spec", "paper"),
    [
        ("noninteractive-probing", LANGUAGES, 1_241_718),
        ("interactive-probing", LANGUAGES, 1_235_830),
        ("noninteractive-probing", DIGITS, 1_254_016),
        ("interactive-probing", DIGITS, 1_240_960),
    ],
)
def test_probing_encoders_are_about_as_large_as_the_papers(name: str, spec: RNNSpec, paper: int) -> None:
    """The paper's counts cannot be rebuilt from its text: within 15 % is what can be asked."""
    ours = count_parameters(encoders.build(name, spec, interface=INTERFACES[spec]))
    print(f"{name} for {spec}: {ours:,} parameters, the paper's {paper:,} ({ours / paper - 1:+.1%})")  # noqa: T201
    assert abs(ours / paper - 1) <= 0.15


@pytest.mark.parametrize("name", ["layerwise-statistics", "noninteractive-probing", "interactive-probing"])
def test_these_do_not_grow_with_the_rnns(small_encoder: MakeEncoder, name: str) -> None:
    larger = RNNSpec(cell="gru", input_size=4, hidden_size=50, num_layers=2, output_size=4)
    assert count_parameters(small_encoder(name, larger)) == count_parameters(small_encoder(name, SPEC))


# -- what every encoder does -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 16])
def test_a_vector_of_length_1_for_each_rnn(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, size: int
) -> None:
    vectors = small_encoder(name, SPEC, representation_size=size)(random_rnns(SPEC, 7))
    assert vectors.shape == (7, size)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(7))


@pytest.mark.parametrize("name", NAMES)
def test_length_1_can_be_switched_off(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    stack = random_rnns(SPEC, 3)
    free = small_encoder(name, SPEC, unit_norm=False)(stack)
    scaled = small_encoder(name, SPEC)(stack)
    assert not torch.allclose(free.norm(dim=1), torch.ones(3), atol=1e-3)
    torch.testing.assert_close(free / free.norm(dim=1, keepdim=True), scaled)


@pytest.mark.parametrize("name", NAMES)
def test_an_rnns_vector_does_not_depend_on_its_company(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str
) -> None:
    encoder, stack = small_encoder(name, SPEC).double(), random_rnns(SPEC, 5, torch.float64)
    alone = torch.cat([encoder(stack.select([number])) for number in range(5)])
    torch.testing.assert_close(encoder(stack), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "task-blind"])
def test_other_rnns_have_other_vectors(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    vectors = small_encoder(name, SPEC)(random_rnns(SPEC, 4))
    distances = torch.cdist(vectors, vectors) + torch.eye(4)
    assert distances.min() > 1e-4


def test_the_task_blind_encoder_says_the_same_of_everything(small_encoder: MakeEncoder, random_rnns: MakeRNNs) -> None:
    encoder, stack = small_encoder("task-blind", SPEC), random_rnns(SPEC, 3)
    box = StackBlackBox(stack, input_kind="continuous", output_kind="continuous")
    assert torch.equal(encoder(stack), encoder(stack.select([0])).expand(3, -1))
    assert torch.equal(encoder(stack), encoder(box))


# -- weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_weights_and_nothing_else_does(small_encoder: MakeEncoder, name: str) -> None:
    torch.manual_seed(1)
    first = small_encoder(name, SPEC, seed=3).state_dict()
    torch.manual_seed(2)
    second = small_encoder(name, SPEC, seed=3).state_dict()
    other = small_encoder(name, SPEC, seed=4).state_dict()

    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_torchs_global_generator_is_left_alone(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    before = torch.get_rng_state()
    small_encoder(name, SPEC)(random_rnns(SPEC, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_known_which_encoders_gain_from_renumbered_units() -> None:
    gaining = {name for name, encoder in encoders.ENCODERS.items() if encoder.augmentable}
    assert "flattened-weights" in gaining
    assert not gaining & {"layerwise-statistics", "noninteractive-probing", "interactive-probing", "task-blind"}


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "near"),
    [("interactive", "interactive-probing"), ("statistics", "layerwise-statistics"), ("flattend", "flattened-weights")],
)
def test_an_unknown_encoder_is_refused_with_the_nearest(given: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown encoder '{given}'\n.*did you mean '{near}'\? Known: .*task-blind"):
        encoders.build(given, SPEC)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_hyperparameter_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"hyperparameters .*'colour'.* of {name}: (.|\n)*leave the unknown ones out"):
        encoders.build(
            name,
            SPEC,
            interface=INTERFACES[LANGUAGES],
            **{"first_input": False} if "prob" in name else {},
            colour="red",
        )


@pytest.mark.parametrize("name", ["flattened-weights", "parameter-transformer", "dwsnet", "dwsnet-complete"])
@pytest.mark.parametrize("change", [{"cell": "lstm"}, {"hidden_size": 6}, {"num_layers": 1}, {"output_size": 3}])
def test_weights_of_another_architecture_are_refused(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, change: dict[str, Any]
) -> None:
    other = RNNSpec(**{**SPEC.to_dict(), **change})
    with pytest.raises(
        UsageError, match=r"the RNNs are .*, but this .* encoder reads .*\n.*a probing encoder"
    ) as caught:
        small_encoder(name, SPEC)(random_rnns(other, 2))
    assert str(other) in caught.value.problem
    assert str(SPEC) in caught.value.problem


@pytest.mark.parametrize("name", MECHANISTIC)
def test_a_black_box_has_no_weights_to_read(small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str) -> None:
    box = StackBlackBox(random_rnns(SPEC, 2), input_kind="categorical", output_kind="categorical")
    with pytest.raises(UsageError, match=rf"{name} encoder reads weights.*black box \(StackBlackBox\)\n.*probing"):
        small_encoder(name, SPEC)(box)
