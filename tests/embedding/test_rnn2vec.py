"""A pre-trained encoder as people use it: saved, loaded, and given RNNs in every form they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.seals import rewrite

from rnn2vec._assets import shipped_names
from rnn2vec._errors import DataError, UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation import checkpoints
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.rnn import fused
from rnn2vec.rnn.blackbox import FunctionBlackBox, StackBlackBox
from rnn2vec.rnn.budget import BudgetedBlackBox, BudgetError
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

KINDS: dict[str, Any] = {"input_kind": "categorical", "output_kind": "categorical"}


@pytest.fixture(scope="module")
def rnn2vec(tiny_run: Path) -> Rnn2Vec:
    return Rnn2Vec.from_pretrained(tiny_run)


def spec_of(cell: str, hidden_size: int, num_layers: int) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=6, hidden_size=hidden_size, num_layers=num_layers, output_size=6)  # pyright: ignore[reportArgumentType]


def test_every_form_gives_the_same_vectors(rnn2vec: Rnn2Vec, tiny_zoo: Zoo, tmp_path: Path) -> None:
    stack = tiny_zoo.rnns([3, 1])
    modules = stack.to_modules()
    for number, module in enumerate(modules):
        torch.save(module.state_dict(), tmp_path / f"{number}.pt")
        safetensors.torch.save_file(module.state_dict(), tmp_path / f"{number}.safetensors")
    vectors = rnn2vec.embed(stack)
    assert vectors.shape == (2, 16)
    assert vectors.dtype == np.float32
    forms = [
        modules,
        [module.state_dict() for module in modules],
        [tmp_path / "0.pt", str(tmp_path / "1.safetensors")],
        [stack.select([0]), modules[1]],
    ]
    for form in forms:
        np.testing.assert_allclose(rnn2vec.embed(form), vectors, atol=1e-6)
    np.testing.assert_allclose(rnn2vec.embed(modules[1])[0], vectors[1], atol=1e-6)
    np.testing.assert_allclose(rnn2vec.embed(tiny_zoo)[[3, 1]], vectors, atol=1e-6)


def test_vectors_are_the_encoders(rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
    stack = tiny_zoo.rnns(range(5))
    with torch.no_grad():
        expected = rnn2vec.encoder(stack).numpy()
    np.testing.assert_array_equal(rnn2vec.embed(stack), expected)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-6)


def test_rnns_of_other_cells_and_sizes_go_together_and_keep_their_order(
    rnn2vec: Rnn2Vec, random_rnns: Callable[..., RNNStack]
) -> None:
    specs = [spec_of("gru", 5, 1), spec_of("lstm", 9, 3), spec_of("gru", 5, 1), spec_of("rnn_tanh", 40, 2)]
    stacks = [random_rnns(spec, 2) for spec in specs]
    together = rnn2vec.embed(stacks)
    apart = np.concatenate([rnn2vec.embed(stack) for stack in stacks])
    np.testing.assert_allclose(together, apart, atol=1e-6)
    assert len(np.unique(together.round(4), axis=0)) == len(together)


def test_a_saved_encoder_is_the_same_one(rnn2vec: Rnn2Vec, tiny_zoo: Zoo, tmp_path: Path) -> None:
    rnn2vec.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["config.json", "model.safetensors"]
    loaded = Rnn2Vec.from_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.embed(tiny_zoo), rnn2vec.embed(tiny_zoo))
    assert repr(loaded) == repr(rnn2vec)
    loaded.save(tmp_path / "saved")  # over itself


def test_saving_refuses_a_folder_with_other_things(rnn2vec: Rnn2Vec, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not a model"):
        rnn2vec.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_encoder_refuses_rnns_with_other_inputs(rnn2vec: Rnn2Vec, random_rnns: Callable[..., RNNStack]) -> None:
    other = RNNSpec(cell="lstm", input_size=7, hidden_size=8, num_layers=1, output_size=6)
    with pytest.raises(UsageError, match=r"7 categorical inputs .* was made for 6 categorical inputs"):
        rnn2vec.embed(random_rnns(other))


def test_weights_that_are_not_finite_are_refused(rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
    stack = tiny_zoo.rnns([0, 1])
    stack.weights["readout.bias"][1, 2] = float("inf")
    with pytest.raises(DataError, match=r"readout\.bias"):
        rnn2vec.embed(stack)


def test_nothing_to_embed_is_an_error(rnn2vec: Rnn2Vec) -> None:
    with pytest.raises(UsageError, match="no RNN was given"):
        rnn2vec.embed([])


def test_a_tanh_and_a_relu_rnn_look_alike_in_a_state_dict(
    rnn2vec: Rnn2Vec, random_rnns: Callable[..., RNNStack]
) -> None:
    stack = random_rnns(spec_of("rnn_relu", 6, 1), 1)
    state_dict = stack.to_modules()[0].state_dict()
    with pytest.raises(UsageError, match="cell='rnn_tanh' or cell='rnn_relu'"):
        rnn2vec.embed([state_dict])
    np.testing.assert_allclose(rnn2vec.embed([state_dict], cell="rnn_relu"), rnn2vec.embed(stack), atol=1e-6)


class TestBlackBoxes:
    """Anything that steps, alone or among others, and without gradients."""

    def _function(self, stack: RNNStack) -> FunctionBlackBox:
        """One RNN as a function of NumPy vectors."""

        def step(vector: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
            outputs, state = stack.step(torch.from_numpy(vector)[None, None], state)
            return outputs[0, 0].numpy(), state

        return FunctionBlackBox(step, lambda: stack.initial_state(1), input_size=6, output_size=6, **KINDS)

    def test_one_alone(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
        stack = tiny_zoo.rnns([0, 3])
        vectors = rnn2vec.embed(StackBlackBox(stack, **KINDS))
        np.testing.assert_allclose(vectors, rnn2vec.embed(stack), rtol=0, atol=1e-6)

    def test_among_others_in_order(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
        stack = tiny_zoo.rnns([0, 3, 5])
        mixed = [self._function(stack.select([2])), stack.select([0]), StackBlackBox(stack, **KINDS)]
        vectors = rnn2vec.embed(mixed)
        np.testing.assert_allclose(vectors, rnn2vec.embed(stack)[[2, 0, 0, 1, 2]], rtol=0, atol=1e-5)

    def test_an_embedding_costs_a_known_number_of_calls(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
        encoder = rnn2vec.encoder
        assert isinstance(encoder, ProbingEncoder)
        cost = encoder.num_sequences * encoder.sequence_length
        box = self._function(tiny_zoo.rnns([0]))
        budgeted = BudgetedBlackBox(box, calls=cost)
        rnn2vec.embed(budgeted)
        assert budgeted.calls_left == 0
        with pytest.raises(BudgetError, match=rf"calls were made, and the next step needs {encoder.num_sequences}"):
            rnn2vec.embed(BudgetedBlackBox(box, calls=cost - 1))

    def test_one_with_other_inputs_is_refused(self, rnn2vec: Rnn2Vec) -> None:
        box = FunctionBlackBox(lambda x, s: (x, s), lambda: None, input_size=6, output_size=6,
                               input_kind="continuous", output_kind="categorical")  # fmt: skip
        with pytest.raises(UsageError, match="6 continuous inputs and 6 categorical outputs, but this"):
            rnn2vec.embed([box])


def test_hints_reach_modules_and_state_dicts(rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
    (module,) = tiny_zoo.rnns([0]).to_modules()
    expected = rnn2vec.embed(module)
    module.critic = torch.nn.Linear(32, 1)
    for form in (module, module.state_dict()):
        np.testing.assert_allclose(rnn2vec.embed(form, ignore=("critic.*",)), expected, rtol=0, atol=1e-6)


class TestBadFolders:
    """Folders that hold no readable model."""

    @pytest.fixture
    def folder(self, rnn2vec: Rnn2Vec, tmp_path: Path) -> Path:
        rnn2vec.save(tmp_path / "model")
        return tmp_path / "model"

    def test_an_unknown_name(self) -> None:
        with pytest.raises(UsageError, match="no-such-encoder"):
            Rnn2Vec.from_pretrained("no-such-encoder")

    @pytest.mark.parametrize("missing", [checkpoints.CONFIG, checkpoints.MODEL])
    def test_a_missing_file(self, folder: Path, missing: str) -> None:
        (folder / missing).unlink()
        with pytest.raises(UsageError, match=f"is not a model: it has no {missing}"):
            Rnn2Vec.from_pretrained(folder)

    def test_a_newer_format(self, folder: Path) -> None:
        rewrite(folder / checkpoints.CONFIG, lambda values: {**values, "format_version": 99})
        with pytest.raises(DataError, match="format version 99"):
            Rnn2Vec.from_pretrained(folder)

    def test_truncated_weights(self, folder: Path) -> None:
        data = (folder / checkpoints.MODEL).read_bytes()
        (folder / checkpoints.MODEL).write_bytes(data[: len(data) // 2])
        with pytest.raises(DataError, match="holds no readable model"):
            Rnn2Vec.from_pretrained(folder)

    def test_weights_of_another_model(self, folder: Path) -> None:
        safetensors.torch.save_file({"encoder.start": torch.zeros(3)}, folder / checkpoints.MODEL)
        with pytest.raises(DataError, match="holds no readable model"):
            Rnn2Vec.from_pretrained(folder)


class TestWhatIsNamed:
    """Among many RNNs, the one that cannot be embedded is named by its place or its path."""

    def test_a_module(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
        with pytest.raises(UsageError, match=r"item 1: Linear holds 0 recurrent modules"):
            rnn2vec.embed([tiny_zoo.rnns([0]).to_modules()[0], torch.nn.Linear(2, 2)])

    def test_a_state_dict(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
        good = tiny_zoo.rnns([0]).to_modules()[0].state_dict()
        with pytest.raises(UsageError, match=r"item 2: 0 recurrent modules .* among a \(3,\)"):
            rnn2vec.embed([good, good, {"a": torch.zeros(3)}])

    def test_a_stack(self, rnn2vec: Rnn2Vec, random_rnns: Callable[..., RNNStack]) -> None:
        good, bad = random_rnns(spec_of("gru", 5, 1), 2), random_rnns(spec_of("gru", 5, 1), 2)
        bad.weights["readout.bias"][1, 2] = float("nan")
        with pytest.raises(DataError, match=r"item 1: RNN 1 has NaN or infinite numbers in readout\.bias"):
            rnn2vec.embed([good, bad])

    def test_a_path(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"missing\.pt is not a file"):
            rnn2vec.embed([tiny_zoo.rnns([0]).to_modules()[0], tmp_path / "missing.pt"])

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_module_that_diverged(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo, value: float) -> None:
        module = tiny_zoo.rnns([0]).to_modules()[0]
        with torch.no_grad():
            next(module.parameters())[0, 0] = value
        with pytest.raises(DataError, match=r"item 0 has NaN or infinite numbers in rnn\.weight_ih_l0"):
            rnn2vec.embed(module)


class TestNames:
    """Models that come with the package, by name."""

    @pytest.fixture
    def shipped(self, rnn2vec: Rnn2Vec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        rnn2vec.save(tmp_path / "models" / "languages-small" / "model")
        monkeypatch.setattr("rnn2vec._assets._ASSETS", tmp_path)
        return tmp_path

    @pytest.mark.usefixtures("shipped")
    def test_a_name_is_enough(self, rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
        assert shipped_names("models") == ["languages-small"]
        loaded = Rnn2Vec.from_pretrained("languages-small")
        np.testing.assert_array_equal(loaded.embed(tiny_zoo), rnn2vec.embed(tiny_zoo))

    @pytest.mark.usefixtures("shipped")
    def test_an_unknown_name_is_refused_with_the_nearest(self) -> None:
        words = r"'languages-smal'\n.*did you mean 'languages-small'\?.* Or give a folder that `rnn2v"
        with pytest.raises(UsageError, match=words):
            Rnn2Vec.from_pretrained("languages-smal")

    def test_where_none_is_shipped_a_folder_is_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rnn2vec._assets._ASSETS", tmp_path / "nowhere")
        assert shipped_names("models") == []
        with pytest.raises(UsageError, match=r"'anything'\n.*Known: none in this package\. Or give a folder that"):
            Rnn2Vec.from_pretrained("anything")


def test_many_rnns_are_embedded_in_parts(rnn2vec: Rnn2Vec, tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = rnn2vec.embed(tiny_zoo)
    monkeypatch.setattr("rnn2vec.embedding.rnn2vec._RNNS_AT_ONCE", 5)
    np.testing.assert_allclose(rnn2vec.embed(tiny_zoo), at_once, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_any_float_type_will_do(rnn2vec: Rnn2Vec, tiny_zoo: Zoo, dtype: torch.dtype) -> None:
    stack = tiny_zoo.rnns([0, 1]).to(dtype)
    np.testing.assert_allclose(rnn2vec.embed(stack), rnn2vec.embed(stack.to(torch.float32)), rtol=0, atol=1e-6)
    state_dicts = [module.state_dict() for module in stack.to_modules()]
    np.testing.assert_allclose(rnn2vec.embed(state_dicts), rnn2vec.embed(stack), rtol=0, atol=1e-6)


def test_embedding_twice_gives_the_same_and_keeps_the_weights(rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
    stack = tiny_zoo.rnns([0, 1])
    before = stack.flatten().clone()
    np.testing.assert_array_equal(rnn2vec.embed(stack), rnn2vec.embed(stack))
    assert torch.equal(stack.flatten(), before)
    assert not rnn2vec.encoder.training


def test_a_run_and_its_spec_are_described(rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> None:
    assert rnn2vec.spec == tiny_zoo.spec
    assert repr(rnn2vec) == "Rnn2Vec(interactive-probing: lstm 2x32, 6 inputs, 6 outputs -> 16 numbers)"


def test_many_rnns_are_embedded_by_kernels_to_the_same_vectors(
    rnn2vec: Rnn2Vec, tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rnn2vec.embed(tiny_zoo.rnns(range(5)))
    assert not rnn2vec.encoder.accelerated

    monkeypatch.setattr(fused, "WORTH_RNNS", 5)
    many = rnn2vec.embed(tiny_zoo.rnns(range(5)))

    assert rnn2vec.encoder.accelerated
    np.testing.assert_allclose(many, few, rtol=0, atol=1e-6)
