"""Pre-training: what it does to whom, and what it refuses before it touches anything. Resuming: `test_resume.py`."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import load_model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.rnn import symmetry
from rnn2vec.training.checkpoint import load_state
from rnn2vec.training.tracking import Metrics, read_metrics
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _other(config: PretrainConfig, encoder: str, **changes: Any) -> PretrainConfig:
    """The config for an encoder that does not probe."""
    return dataclasses.replace(config, encoder=encoder, encoder_options={}, **changes)


# -- what it does ----------------------------------------------------------------------------------


def test_a_run_has_its_files_and_a_line_for_each_validation(small_run: Path) -> None:
    names = {"run.json", "config.json", "model.safetensors", "checkpoint.safetensors", "metrics.jsonl", "log.jsonl"}
    assert set(_contents(small_run)) == names
    lines = read_metrics(small_run)
    assert [line["step"] for line in lines] == [3, 6, 7]
    distances = [
        f"{name}{end}" for name in ("total-variation", "forward-kl", "reverse-kl", "js") for end in ("", "/to-end")
    ]
    expected = {"step", "train/loss", *(f"{part}/{name}" for part in ("validation", "last") for name in distances)}
    for line in lines:
        assert set(line) == expected
        assert all(math.isfinite(value) for value in line.values())
    log = [json.loads(line) for line in (small_run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [3, 6, 7]


def test_the_kept_model_is_the_best_one(small_run: Path, small_zoo: Zoo, small_config: PretrainConfig) -> None:
    model = load_model(small_run)
    unseen = SplitData(small_zoo, "validation").first_rollouts(small_config.validation_rollouts)
    found = emulation_fidelity(model.encoder, model.emulator, unseen)["total-variation"].mean()
    best = min(line["validation/total-variation"] for line in read_metrics(small_run))
    assert found == pytest.approx(best, abs=1e-12)


def test_the_model_that_is_returned_is_the_kept_one(
    small_run: Path, small_zoo: Zoo, small_config: PretrainConfig
) -> None:
    before = _contents(small_run)
    again = pretrain(small_zoo, small_config, small_run)  # finished: nothing is left to do
    stack = small_zoo.rnns([0, 1])
    assert torch.equal(again.encoder(stack), load_model(small_run).encoder(stack))
    assert _contents(small_run) == before


def test_the_last_snapshots_have_a_column_of_their_own(
    small_run: Path, small_zoo: Zoo, small_config: PretrainConfig
) -> None:
    model, data = load_model(small_run), SplitData(small_zoo, "validation")
    unseen = data.first_rollouts(small_config.validation_rollouts)
    values = emulation_fidelity(model.encoder, model.emulator, unseen)["js"][data.steps == 2]
    best = min(read_metrics(small_run), key=lambda line: line["validation/total-variation"])
    assert best["last/js"] == pytest.approx(values.mean(), abs=1e-12)


@pytest.mark.parametrize("loss", ["forward-kl", "reverse-kl", "js"])
def test_any_loss_can_be_trained_and_is_what_counts(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path, loss: str
) -> None:
    config = dataclasses.replace(small_config, loss=loss, num_steps=3)
    pretrain(small_zoo, config, tmp_path / "run")
    total_variation = dataclasses.replace(small_config, num_steps=3)
    pretrain(small_zoo, total_variation, tmp_path / "other")
    (one,), (other,) = read_metrics(tmp_path / "run"), read_metrics(tmp_path / "other")
    assert one["train/loss"] != other["train/loss"]
    assert _best(tmp_path / "run", config) == one[f"validation/{loss}"]


def _best(folder: Path, config: PretrainConfig) -> float | None:
    """The lowest validation loss that the checkpoint remembers."""
    model = load_model(folder)
    parameters = [*model.encoder.parameters(), *model.emulator.parameters()]
    modules = {"encoder": model.encoder, "emulator": model.emulator}
    standing = load_state(folder / checkpoints.CHECKPOINT, modules, torch.optim.AdamW(parameters), remedy="")
    assert standing.step == config.num_steps
    return standing.best


def test_forward_kl_helps_only_at_first(small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path) -> None:
    """Without it, with it for no step, and with it for steps that are not reached: the same bytes."""
    runs = {
        "off": {"warm_up_loss": 0.0},
        "for no step": {"warm_up_share": 0.0},
        "on": {},
    }
    for name, changes in runs.items():
        pretrain(small_zoo, dataclasses.replace(small_config, **changes), tmp_path / name)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in runs}
    assert weights["off"] == weights["for no step"] != weights["on"]


def test_progress_and_trackers_hear_of_it(small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[tuple[int, Metrics]] = []

        def log(self, step: int, metrics: Metrics) -> None:
            self.heard.append((step, metrics))

    told: list[tuple[float, float, str]] = []
    listener = Listener()
    pretrain(small_zoo, small_config, tmp_path / "run", progress=lambda *said: told.append(said), trackers=[listener])
    assert [(done, total) for done, total, _ in told] == [*((step, 7) for step in range(1, 8)), (7, 7)]
    assert told[-1][2] == "done"
    assert [{"step": step, **metrics} for step, metrics in listener.heard] == read_metrics(tmp_path / "run")


@pytest.mark.parametrize(
    ("encoder", "augment", "renumbered"),
    [
        ("flattened-weights", True, True),
        ("flattened-weights", False, False),
        ("layerwise-statistics", True, False),
        ("interactive-probing", True, False),
        ("task-blind", True, False),
    ],
)
def test_units_are_renumbered_in_training_for_those_to_whom_it_matters(
    small_zoo: Zoo,
    small_config: PretrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoder: str,
    augment: bool,
    renumbered: bool,
) -> None:
    calls: list[int] = []
    permute = symmetry.permute_randomly

    def watched(spec: Any, weights: Any, generator: torch.Generator) -> Any:
        calls.append(len(weights["readout.bias"]))
        return permute(spec, weights, generator)

    monkeypatch.setattr(symmetry, "permute_randomly", watched)
    config = small_config if "probing" in encoder else _other(small_config, encoder)
    pretrain(small_zoo, dataclasses.replace(config, augment=augment), tmp_path / "run")
    in_a_batch = min(config.batch_size, len(SplitData(small_zoo, "train")))
    assert calls == ([in_a_batch] * 7 if renumbered else [])  # once an update, never in validation


@pytest.mark.parametrize("encoder", ["flattened-weights", "layerwise-statistics", "dwsnet"])
def test_signs_are_flipped_in_training_when_asked_for(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path, encoder: str
) -> None:
    curves: list[list[float]] = []
    for flips in (False, True):
        config = _other(small_config, encoder, augment_signs=flips)
        pretrain(small_zoo, config, tmp_path / str(flips))
        curves.append([line["train/loss"] for line in read_metrics(tmp_path / str(flips))])
    assert curves[0] != curves[1]


@pytest.mark.parametrize("encoder", ["interactive-probing", "dwsnet-complete", "task-blind"])
def test_flipped_signs_would_be_lost_on_these(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path, encoder: str
) -> None:
    config = small_config if "probing" in encoder else _other(small_config, encoder)
    for flips in (False, True):
        pretrain(small_zoo, dataclasses.replace(config, augment_signs=flips), tmp_path / str(flips))
    assert read_metrics(tmp_path / "False") == read_metrics(tmp_path / "True")


def test_a_batch_is_never_larger_than_the_split(small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path) -> None:
    pretrain(small_zoo, dataclasses.replace(small_config, batch_size=1000, num_steps=1), tmp_path / "run")
    assert len(read_metrics(tmp_path / "run")) == 1


def test_a_zoo_with_few_rollouts_is_validated_on_those(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path
) -> None:
    results: list[float] = []
    for count in (3, 1000):
        config = dataclasses.replace(small_config, num_steps=1, validation_rollouts=count)
        pretrain(small_zoo, config, tmp_path / str(count))
        results.append(read_metrics(tmp_path / str(count))[0]["validation/js"])
    assert results[0] == results[1]


# -- refused, before anything is touched -----------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": "interactive"}, r"unknown encoder 'interactive'\n.*did you mean 'interactive-probing'"),
        ({"loss": "js-divergence"}, r"unknown loss for categorical outputs 'js-divergence'\n.*Known: "),
        ({"loss": "mse"}, r"unknown loss for categorical outputs 'mse'"),
        ({"encoder_options": {"colour": "red"}}, r"hyperparameters .*colour.*\n.*leave the unknown ones out"),
        ({"encoder_options": {"num_sequences": 0}}, r"num_sequences=0"),
    ],
)
def test_a_config_that_cannot_be_trained_makes_no_folder(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        pretrain(small_zoo, dataclasses.replace(small_config, **changes), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_makes_no_folder(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"torch cannot use device 'cuda:99' here: \S.*\n.*use cpu"):
        pretrain(small_zoo, small_config, tmp_path / "run", device="cuda:99")
    assert list(tmp_path.iterdir()) == []


def test_a_zoo_without_unseen_tasks_makes_no_folder(small_config: PretrainConfig, tmp_path: Path) -> None:
    config = ZooConfig(num_runs=1, num_steps=1, hidden_size=2, num_rollouts=1, num_episodes=1, backend="torch")
    zoo = build_zoo(config, tmp_path / "zoo")
    with pytest.raises(UsageError, match=r"no RNN in its validation split\n.*more runs"):
        pretrain(zoo, small_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_folder(small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt is a file, not a folder"):
        pretrain(small_zoo, small_config, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


class TestARunOfSomethingElse:
    """A folder that holds a run stays as it was."""

    @pytest.fixture
    def folder(self, small_run: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(small_run, tmp_path / "run"))

    def test_of_another_config(self, small_zoo: Zoo, small_config: PretrainConfig, folder: Path) -> None:
        before = _contents(folder)
        with pytest.raises(
            UsageError, match=r"another config: batch_size is 3, asked for 2, seed is 0, ask.*\n.*--out"
        ):
            pretrain(small_zoo, dataclasses.replace(small_config, seed=4, batch_size=2), folder)
        assert _contents(folder) == before

    def test_on_another_zoo(self, small_config: PretrainConfig, folder: Path, tmp_path: Path) -> None:
        config = ZooConfig(num_runs=2, num_steps=1, hidden_size=2, num_rollouts=1, num_episodes=1, backend="torch")
        before = _contents(folder)
        with pytest.raises(UsageError, match=r"run holds a run on another zoo \(zoo\), or that zoo has changed since"):
            pretrain(build_zoo(config, tmp_path / "other"), small_config, folder)
        assert _contents(folder) == before

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("[]", "names no format version"),
            ("3", "names no format version"),
            ("{}", "does not have the entries of a run"),
            ('{"zoo": 1, "config": 2}', "does not have the entries of a run"),
            ("{", "is not valid JSON"),
        ],
    )
    def test_with_a_damaged_record(
        self, small_zoo: Zoo, small_config: PretrainConfig, folder: Path, content: str, words: str
    ) -> None:
        (folder / "run.json").write_text(content)
        before = _contents(folder)
        with pytest.raises(DataError, match=rf"run\.json {words}"):
            pretrain(small_zoo, small_config, folder)
        assert _contents(folder) == before


# -- what goes wrong on the way --------------------------------------------------------------------


def test_training_that_diverges_says_so_and_keeps_the_last_checkpoint(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path
) -> None:
    config = dataclasses.replace(small_config, learning_rate=1e30, num_steps=50, warm_up_steps=10_000)
    with pytest.raises(DataError, match=r"after \d+ updates .* is (nan|inf): training has diverged\n.*learning rate"):
        pretrain(small_zoo, config, tmp_path / "run")
    for line in read_metrics(tmp_path / "run"):
        assert all(math.isfinite(value) for value in line.values())
    if (tmp_path / "run" / "model.safetensors").exists():
        load_model(tmp_path / "run")  # it reads nothing but finite weights


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_named_and_nothing_else_is_lost(
    small_zoo: Zoo, small_config: PretrainConfig, small_run: Path, tmp_path: Path, share: float
) -> None:
    folder = Path(shutil.copytree(small_run, tmp_path / "run"))
    path = folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    before = _contents(folder)
    with pytest.raises(DataError, match=r"checkpoint\.safetensors is damaged: .*\n.*delete .*run and pre-train again"):
        pretrain(small_zoo, small_config, folder)
    assert _contents(folder) == before


def test_a_checkpoint_of_another_model_is_named(
    small_zoo: Zoo, small_config: PretrainConfig, small_run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_run, tmp_path / "run"))
    other = dataclasses.replace(small_config, representation_size=5)
    pretrain(small_zoo, other, tmp_path / "other")
    shutil.copy(tmp_path / "other" / "checkpoint.safetensors", folder)
    with pytest.raises(DataError, match=r"checkpoint\.safetensors is damaged"):
        pretrain(small_zoo, small_config, folder)
