"""Pre-training on RNNs of one's own: every form of RNNs and inputs, standard units, and a report that is true."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.embedding.fit_report import Agreement, FitReport
from rnn2vec.embedding.plan import recommended, within
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.recorded import Recorded, split_by_run
from rnn2vec.emulation.sequences import Sequences
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

MakeRNNs = Callable[..., RNNStack]
GRU = RNNSpec(cell="gru", input_size=2, hidden_size=5, num_layers=1, output_size=1)
TANH = RNNSpec(cell="rnn_tanh", input_size=2, hidden_size=7, num_layers=2, output_size=1)
QUICK = PretrainConfig(
    encoder_options={"hidden_size": 16, "sequence_length": 5},
    emulator_hidden_size=16,
    rollouts_per_rnn=2,
    num_steps=4,
    validate_every=2,
    warm_up_steps=1,
)


@pytest.fixture
def series() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 9, 2)) * 30 + 100


# -- the call --------------------------------------------------------------------------------------


def test_several_architectures_in_every_form(random_rnns: MakeRNNs, series: np.ndarray, tmp_path: Path) -> None:
    grus, tanhs = random_rnns(GRU, 6), random_rnns(TANH, 4)
    torch.save(tanhs.to_modules()[0].state_dict(), tmp_path / "tanh.pt")
    mixed = [grus.select([0]), *tanhs.to_modules()[1:], *grus.to_modules()[1:], tmp_path / "tanh.pt"]
    rnn2vec = Rnn2Vec.fit(mixed, series, config=QUICK, cell="rnn_tanh", validation_share=0.4)
    report = rnn2vec.report
    assert report is not None
    assert (report.num_train, report.num_validation, report.loss) == (6, 4, "mse")
    assert report.architectures == (str(GRU), str(TANH))
    assert rnn2vec.spec == GRU
    assert rnn2vec.embed(mixed, cell="rnn_tanh").shape == (10, 16)


def test_it_learns_what_the_rnns_do_whatever_their_unit(series: np.ndarray) -> None:
    """RNNs that differ in one number: how strongly they answer. Outputs are in the thousands, inputs about 100."""
    stack = RNNStack.from_flat(GRU, torch.rand(1, GRU.num_parameters, generator=torch.Generator().manual_seed(1)))
    weights = {name: weight.expand(40, *weight.shape[1:]).clone() for name, weight in stack.weights.items()}
    weights["rnn.weight_ih_l0"] = weights["rnn.weight_ih_l0"] / 100
    weights["readout.weight"] = weights["readout.weight"] * torch.linspace(-1000, 1000, 40)[:, None, None]
    config = dataclasses.replace(QUICK, num_steps=100, validate_every=50, learning_rate=3e-3)
    report = Rnn2Vec.fit(RNNStack(GRU, weights), series, config=config).report
    assert report is not None
    assert report.mistaken_loss is not None
    assert report.validation_loss < 0.3 * report.mistaken_loss
    assert "with the vector of another RNN" in str(report)


def test_a_zoo_has_rollouts_of_its_own(tiny_zoo: Zoo) -> None:
    report = Rnn2Vec.fit(tiny_zoo, config=QUICK).report
    assert report is not None
    assert report.loss == "total-variation"
    assert report.num_train == len(tiny_zoo.split("train"))
    other = Rnn2Vec.fit(tiny_zoo, np.zeros((3, 4), dtype=int), config=QUICK).report
    assert other is not None
    assert other.num_train + other.num_validation == len(tiny_zoo)


def test_a_run_goes_on_where_it_was_and_ends_the_same(
    random_rnns: MakeRNNs, series: np.ndarray, tmp_path: Path
) -> None:
    stack = random_rnns(GRU, 8)

    def stop(done: float, _total: float, _what: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Rnn2Vec.fit(stack, series, config=QUICK, out=tmp_path / "run", progress=stop)
    gone_on = Rnn2Vec.fit(stack, series, config=QUICK, out=tmp_path / "run")
    whole = Rnn2Vec.fit(stack, series, config=QUICK)
    np.testing.assert_array_equal(gone_on.embed(stack), whole.embed(stack))
    np.testing.assert_array_equal(Rnn2Vec.from_pretrained(tmp_path / "run").embed(stack), whole.embed(stack))
    with pytest.raises(UsageError, match="holds a run on another zoo"):
        Rnn2Vec.fit(stack, series + 1, config=QUICK, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("validation", "mistaken", "words"),
    [(0.1, 0.8, "say what the RNNs do"), (0.5, 0.8, "say something"), (0.79, 0.8, "say almost nothing")],
)
def test_the_report_does_not_flatter(validation: float, mistaken: float, words: str) -> None:
    report = FitReport(("gru",), 80, 20, "mse", validation, mistaken, 100, 200)
    assert words in str(report)
    assert "it was best at the end" not in str(report)
    assert "it was best at the end: more updates" in str(dataclasses.replace(report, best_step=200))
    different = dataclasses.replace(report, agreement=Agreement(0.9, 0.1, 0, 0))
    assert words in str(different)
    alike = dataclasses.replace(report, agreement=Agreement(0.01, 0.8, 2, 2))
    assert validation < 0.4 or "the RNNs are alike" in str(alike)
    assert "2 of the 2 RNNs that stand out in behaviour stand out in the vectors as well" in str(alike)


def test_a_fleet_that_is_alike_is_told_from_an_encoder_that_failed(series: np.ndarray) -> None:
    """Copies with noise, two of them broken: imitation cannot tell them apart, but distances can."""
    base = RNNStack.from_flat(GRU, torch.rand(1, GRU.num_parameters, generator=torch.Generator().manual_seed(1)) - 0.5)
    noise = 1e-3 * torch.randn(30, GRU.num_parameters, generator=torch.Generator().manual_seed(2))
    fleet = RNNStack.from_flat(GRU, base.flatten() + noise)
    fleet.weights["readout.weight"][[3, 17]] *= -1
    report = Rnn2Vec.fit(fleet, series / 100, config=QUICK).report
    assert report is not None
    assert report.agreement is not None
    assert report.agreement.typical_difference < 0.05
    assert report.agreement.num_unusual == 2
    assert "almost nothing" not in str(report)


class Switching(torch.nn.Module):
    """An RNN that answers in another way to inputs between 5.5 and 5.6, which verification alone does not try."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.readout = torch.nn.GRU(2, 5, batch_first=True), torch.nn.Linear(5, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answers = self.readout(self.rnn(inputs)[0])
        return answers + 1 if ((inputs > 5.5) & (inputs < 5.6)).all() else answers


@pytest.mark.parametrize("call", [Rnn2Vec.fit, Rnn2Vec.untrained])
def test_modules_are_verified_on_the_callers_inputs(call: Callable[..., Rnn2Vec]) -> None:
    modules = [Switching() for _ in range(4)]
    assert len(RNNStack.from_modules(modules)) == 4
    with pytest.raises(UsageError, match=r"item 0.*answers otherwise"):
        call(modules, np.random.default_rng(0).uniform(5.51, 5.59, (6, 9, 2)))


def test_few_rnns_are_asked_the_callers_sequences(random_rnns: MakeRNNs, series: np.ndarray) -> None:
    """A learned prober needs many RNNs; the emulator is trained all the same."""
    rnns, rest = random_rnns(GRU, 12), random_rnns(TANH, 3)
    config = dataclasses.replace(recommended(12, 1000, 9, probes=(12, 9)), num_steps=4, validate_every=2)
    rnn2vec = Rnn2Vec.fit([rnns, rest], series, config=config)
    encoder = rnn2vec.encoder
    assert isinstance(encoder, RandomProbing)
    assert torch.equal(encoder.probes, torch.from_numpy(series).float())
    answers = rnns(encoder.probes.expand(12, -1, -1, -1))[0]
    assert abs(float(encoder.scale[0, 0]) - float(answers.median())) < float(encoder.scale[1, 0])
    assert "vectors are answers to 12 of the inputs, 9 steps of each" in str(rnn2vec.report)
    assert rnn2vec.emulator is not None
    wrong = dataclasses.replace(config, encoder_options={})
    with pytest.raises(UsageError, match=r"asks 16 sequences of 32 steps; the inputs have 12 sequences of 9 steps"):
        Rnn2Vec.fit([rnns, rest], series, config=wrong)
    assert recommended(99, 1000, 9, probes=(12, 9)).encoder == "random-probing"
    assert recommended(100, 1000, 9, probes=(12, 9)).encoder == "interactive-probing"


def test_updates_grow_with_the_number_of_rnns_and_the_first_checkpoint_comes_soon() -> None:
    steps = [recommended(number, 1000, 30).num_steps for number in (2, 50, 500, 5000, 10**6)]
    assert steps == [600, 1000, 1995, 3981, 8000]
    assert recommended(50, 1000, 30).validate_every == 25
    assert recommended(500, 5_000_000, 500).validate_every == 5


def test_a_time_budget_lowers_the_number_of_updates_and_is_kept_when_resumed(
    random_rnns: MakeRNNs, series: np.ndarray, tmp_path: Path
) -> None:
    stack = random_rnns(GRU, 8)
    source = Recorded([stack], Sequences.read(series, 2, 8), np.arange(8) == 3)
    config = dataclasses.replace(QUICK, num_steps=500, loss="mse")
    assert within(1e-3, config, source, "cpu").num_steps == 50
    assert within(1e6, config, source, "cpu").num_steps == 500
    with pytest.raises(UsageError, match="a time budget of 0 seconds"):
        within(0, QUICK, source, "cpu")
    first = Rnn2Vec.fit(stack, series, out=tmp_path / "run", time_budget=1e-3)
    again = Rnn2Vec.fit(stack, series, out=tmp_path / "run", time_budget=1e6)
    assert first.report == again.report


@pytest.mark.usefixtures("without_type_checks")
def test_what_does_not_fit_is_told(random_rnns: MakeRNNs, series: np.ndarray) -> None:
    stack = random_rnns(GRU, 4)
    other = RNNSpec(cell="gru", input_size=3, hidden_size=5, num_layers=1, output_size=1)
    cases = [
        ((stack, None), "no input sequences\n.*give inputs"),
        ((stack.to_modules()[0], series), "fewer than 2 RNNs"),
        (([stack, random_rnns(other, 1)], series), "RNNs with 2 inputs and 1 outputs, 3 inputs and 1 outputs"),
        ((stack.select([0]), series), "1 of 1 RNNs for validation\n.*hundreds work better"),
        ((stack, series[..., :1]), r"input sequences of shape \(12, 9, 1\), float64, for 4 RNNs with 2 inputs"),
        ((stack, series[0, :, 0]), "whole numbers"),
        ((stack, np.full((3, 4, 2), np.nan)), "NaN or infinite"),
        ((stack, np.full((3, 4), 2)), "tokens from 2 to 2 for RNNs with 2 inputs"),
    ]
    for (rnns, inputs), words in cases:
        with pytest.raises(UsageError, match=words):
            Rnn2Vec.fit(rnns, inputs, config=QUICK)
    with pytest.raises(UsageError, match="3 runs for 4 RNNs"):
        Rnn2Vec.fit(stack, series, config=QUICK, runs=[1, 1, 2])


# -- the data --------------------------------------------------------------------------------------


def test_outputs_are_the_rnns_own_in_standard_units(random_rnns: MakeRNNs, series: np.ndarray) -> None:
    stacks = [random_rnns(GRU, 5), random_rnns(TANH, 3)]
    source = Recorded(stacks, Sequences.read(series, 2, 8), np.arange(8) % 4 == 0)
    centre, spread = source.interface.output_scale
    pieces = source.part("train", device="cpu").all(4)
    assert [len(piece.rnns) for piece in pieces] == [3, 3]
    raw, _ = stacks[0].select([1, 2, 3])(torch.from_numpy(series[:4]).float().expand(3, -1, -1, -1))
    expected = ((raw - centre) / spread).clamp(-10, 10)
    torch.testing.assert_close(pieces[0].outputs[:3], expected, rtol=1e-4, atol=1e-4)
    assert pieces[0].inputs.min() >= -1
    assert pieces[0].inputs.max() <= 1
    everything = torch.cat([piece.outputs.flatten() for piece in pieces])
    assert everything.abs().max() <= 10
    assert 0.2 < everything.std() < 5


def test_each_rnn_may_have_sequences_of_its_own(random_rnns: MakeRNNs) -> None:
    spec = RNNSpec(cell="lstm", input_size=4, hidden_size=3, num_layers=1, output_size=4)
    tokens = np.random.default_rng(0).integers(4, size=(6, 5, 8))
    tokens[..., 0] = 3
    sequences = Sequences.read(tokens, 4, 6)
    source = Recorded([random_rnns(spec, 6)], sequences, np.arange(6) == 5)
    assert source.interface.output_kind == "categorical"
    assert source.interface.first_input == (0, 0, 0, 1)
    (piece,) = source.part("validation", device="cpu").all(2)
    assert torch.equal(piece.inputs[0].argmax(-1), torch.from_numpy(tokens[5, :2]))
    drawn = source.part("train", device="cpu").draw(np.random.default_rng(1), 3, 2)
    assert drawn.inputs.shape == (3, 2, 8, 4)


def test_snapshots_of_a_run_stay_together() -> None:
    runs = np.repeat(np.arange(10), 3)
    chosen = split_by_run(runs, 0.3, seed=0)
    assert chosen.sum() == 9
    assert all(len(set(chosen[runs == run])) == 1 for run in range(10))
    assert not (chosen == split_by_run(runs, 0.3, seed=1)).all()
    with pytest.raises(UsageError, match="validation_share=1"):
        split_by_run(runs, 1, seed=0)
