"""The authors' layout: arrays of its names, shapes and dtypes, made here, become a zoo and come out as they were.

The release itself is not at hand: what is tested is the layout as it is documented.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, StorageError, UsageError
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages, Language
from rnn2vec.zoo.sharing import release_export as public_export
from rnn2vec.zoo.sharing import release_import as public_release
from rnn2vec.zoo.sharing.card import render, summarize
from rnn2vec.zoo.sharing.release_export import export_release
from rnn2vec.zoo.sharing.release_import import import_release
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

Arrays = dict[str, np.ndarray]
LANGUAGES = [(0, 1, -1, 0), (0, 1, -1, 2), (0, -3, 2, 2)]
STEPS = [0, 100, 200]
SPEC = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)


def _arrays() -> Arrays:
    """3 runs x 3 snapshots of the published size, untrained; the second and third run have one number."""
    generator = np.random.default_rng(5)
    weights = generator.uniform(-0.18, 0.18, (9, SPEC.num_parameters)).astype(np.float32)
    tokens = np.full((9, 4, 42), 5)
    tokens[:, :, 0] = 4
    for place, language in enumerate(np.repeat(LANGUAGES, 3, axis=0)):
        for rollout in range(3):
            string = [letter for letter, offset in enumerate(language) for _ in range(3 + rollout + offset)]
            tokens[place, rollout, 1 : len(string) + 1] = string
        tokens[place, 3, 1:] = 0  # without an end: its BOS is overwritten by EOS, but the RNN read BOS
    hot = torch.nn.functional.one_hot(torch.from_numpy(tokens[:, :, :-1]), 6).float()
    with torch.no_grad():
        outputs, _ = RNNStack.from_flat(SPEC, torch.from_numpy(weights))(hot)
    tokens[:, 3, 0] = 5
    return {
        "parameters": weights,
        "sequences": tokens.astype(np.int16),
        "logits": outputs.log_softmax(dim=-1).numpy().astype(np.float16),
        "tasks": np.repeat(np.array(LANGUAGES, dtype=np.int64), 3, axis=0),
        "num_step_correct": np.stack([[7] * 3 + [2] * 6, STEPS * 3, [0, 417, 1000] * 3], axis=1).astype(np.int64),
    }


def _save(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "args.json").write_text(json.dumps({"n_layers": 2}))
    return folder


@pytest.fixture
def arrays() -> Arrays:
    return _arrays()


@pytest.fixture
def release(tmp_path: Path, arrays: Arrays) -> Path:
    return _save(tmp_path / "formal_languages_tokens_4_length_42_2x32", arrays)


# -- in --------------------------------------------------------------------------------------------


def test_a_release_becomes_a_zoo(release: Path, arrays: Arrays, tmp_path: Path) -> None:
    zoo = import_release(release, tmp_path / "zoo")
    assert len(zoo) == 9
    assert zoo.spec == SPEC
    assert zoo.family == FormalLanguages()
    np.testing.assert_array_equal(zoo.rnns(range(9)).flatten().numpy(), arrays["parameters"])
    assert zoo.column("run").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert zoo.column("step").tolist() == STEPS * 3
    assert zoo.column("performance").tolist() == [0, 0.417, 1] * 3
    assert zoo.tasks([0, 3, 6]) == [(1.0, -1.0, 0.0), (1.0, -1.0, 2.0), (-3.0, 2.0, 2.0)]
    codes = zoo.rollouts(range(9))
    assert (codes[:, :, 0] == 4).all(), "BOS is put back where EOS had overwritten it"
    np.testing.assert_array_equal(codes[:, :, 1:].numpy(), arrays["sequences"][:, :, 1:])
    assert zoo.column("split")[0] == "ood"


def test_what_the_release_does_not_say_is_missing_or_computed(release: Path, tmp_path: Path) -> None:
    zoo = import_release(release, tmp_path / "zoo")
    assert np.isnan(zoo.column("train_loss")).all()
    assert np.isnan(zoo.column("generalization_gap")).all()
    assert zoo.properties.column("seed").null_count == 9
    assert 1.6 < zoo.column("validation_loss").min() < zoo.column("validation_loss").max() < 2.0, (
        "about ln 6: untrained"
    )
    text = render(summarize(zoo))
    assert "made          imported from formal_languages_tokens_4_length_42_2x32" in text


def test_an_imported_zoo_verifies_up_to_chance(release: Path, arrays: Arrays, tmp_path: Path) -> None:
    """Untrained RNNs write nothing that is in a language, so the made-up performances are found out."""
    zoo = import_release(release, tmp_path / "zoo")
    assert verify(zoo, recompute=0) == []
    problems = verify(zoo, recompute=9)
    assert len(problems) == 6
    assert "its performance is 0.417 in the zoo and 0.0" in problems[0]
    arrays["num_step_correct"][:, 2] = [0, 5, 12] * 3
    true = import_release(_save(tmp_path / "true", arrays), tmp_path / "other")
    assert verify(true, recompute=9) == []


def test_splits_follow_our_rule_and_the_seed(release: Path, tmp_path: Path) -> None:
    """The second language validates with one of these seeds, and not with the other."""
    for seed, expected in ((0, "train"), (_seed_of_a_validating(LANGUAGES[1]), "validation")):
        zoo = import_release(release, tmp_path / expected, seed=seed)
        assert zoo.column("split").tolist() == ["ood"] * 3 + [expected] * 3 + [zoo.column("split")[6]] * 3


def _seed_of_a_validating(language: tuple[int, ...]) -> int:
    family = FormalLanguages()
    return next(seed for seed in range(100) if Language(language) in family.splits(seed)["validation"])


def test_an_interrupted_import_goes_on(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digests: Callable[[Path], dict[str, str]]
) -> None:
    monkeypatch.setattr(public_release, "RNNS_PER_SHARD", 4)
    import_release(release, tmp_path / "whole")

    def stop(done: float, total: float, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt(f"{what} of {total}")

    with pytest.raises(KeyboardInterrupt):
        import_release(release, tmp_path / "zoo", progress=stop)
    assert len(Zoo.open(tmp_path / "zoo")) == 8
    import_release(release, tmp_path / "zoo")
    assert digests(tmp_path / "zoo") == digests(tmp_path / "whole")
    with pytest.raises(UsageError, match=r"another zoo made by `rnn2vec zoo import`: options is .*'seed': 0"):
        import_release(release, tmp_path / "zoo", seed=1)


# -- what is wrong with it -------------------------------------------------------------------------


def _set(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: change(arrays[name])})


def _put(name: str, place: Any, value: float) -> Callable[[Arrays], None]:
    return lambda arrays: arrays[name].__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("parameters", lambda a: a.astype(np.float64)), "parameters.npy is float64 (9, 13766), expected float32"),
        (_set("parameters", lambda a: a[:, 1:]), "is float32 (9, 13765), expected float32 (9, 13766) for lstm 2x32"),
        (_set("logits", lambda a: a[:8]), "logits.npy is float16 (8, 4, 41, 6), expected float16 (9, 4, 41, 6)"),
        (_set("tasks", lambda a: a[:, 0]), "tasks and sequences have the shapes (9,) and (9, 4, 42)"),
        (_set("num_step_correct", lambda a: a[:, :2]), "num_step_correct.npy is int64 (9, 2), expected int64 (9, 3)"),
        (_put("tasks", (0, 0), 1), "the first letter's offset is not always 0"),
        (_put("tasks", (0, 1), 9), "offsets from -3 to 9, expected -3 to 2"),
        (_put("num_step_correct", (0, 2), 1001), "a count outside 0..1000"),
        (_put("sequences", (8, 0, 3), 6), "tokens from 0 to 6 in sequences.npy"),
        (
            _set("parameters", lambda a: a[:, ::-1].copy()),
            "(total variation), expected at most 0.01: the weights have another",
        ),
        (_put("parameters", (0, 5), np.nan), "the outputs of RNN 0 differ from logits.npy by nan"),
    ],
)
def test_arrays_that_are_no_release_say_what_is_wrong(
    tmp_path: Path, arrays: Arrays, change: Callable[[Arrays], None], words: str
) -> None:
    change(arrays)
    folder = _save(tmp_path / "release", arrays)
    with pytest.raises(DataError) as caught:
        import_release(folder, tmp_path / "zoo")
    assert f"{folder} is not a release of formal languages: " in str(caught.value)
    assert words in str(caught.value)
    assert not (tmp_path / "zoo").exists() or len(Zoo.open(tmp_path / "zoo").manifest.shards) == 0


def test_a_missing_array_is_named(release: Path, tmp_path: Path) -> None:
    (release / "logits.npy").unlink()
    with pytest.raises(UsageError, match=r"it lacks logits\.npy\n.*give a folder with parameters\.npy, sequences"):
        import_release(release, tmp_path / "zoo")


@pytest.mark.parametrize("how", ["objects", "truncated", "emptied", "nonsense", "a header larger than the disk"])
def test_a_file_that_is_no_whole_array_is_named_and_takes_no_memory(release: Path, tmp_path: Path, how: str) -> None:
    """An array of objects is a pickle, which can run code; a header may promise terabytes."""
    file = release / "tasks.npy"
    if how == "objects":
        np.save(file, np.array([print, None]), allow_pickle=True)
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[:-8])
    elif how == "emptied":
        file.write_bytes(b"")
    elif how == "nonsense":
        file.write_bytes(b"nonsense" * 20)
    else:
        header = {"descr": "<i8", "fortran_order": False, "shape": (10**12, 4)}
        with file.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
    with pytest.raises(DataError, match=r"tasks\.npy is not a complete array of numbers(.|\n)*-> download the file"):
        import_release(release, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


# -- out -------------------------------------------------------------------------------------------


def test_what_came_in_goes_out_as_it_was(
    release: Path, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_export, "RNNS_PER_SHARD", 4)
    files = export_release(import_release(release, tmp_path / "zoo"), tmp_path / "out")
    assert sorted(files) == sorted(path.name for path in (tmp_path / "out").iterdir())
    arrays["sequences"][:, :, 0] = 4  # the one thing that is mended
    arrays["num_step_correct"][:, 0] = [0] * 3 + [1] * 3 + [2] * 3  # and runs have numbers of their own
    for name, expected in arrays.items():
        found = np.load(tmp_path / "out" / f"{name}.npy", allow_pickle=False)
        assert found.dtype == expected.dtype
        if name == "logits":  # another grouping of RNNs rounds differently
            np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), atol=2e-3)
        else:
            np.testing.assert_array_equal(found, expected)


def test_a_built_zoo_goes_out_and_comes_back(tiny_zoo: Zoo, tmp_path: Path) -> None:
    export_release(tiny_zoo, tmp_path / "out")
    export_release(tiny_zoo, tmp_path / "out")
    back = import_release(tmp_path / "out", tmp_path / "zoo")
    everyone = range(len(tiny_zoo))
    assert torch.equal(back.rnns(everyone).flatten(), tiny_zoo.rnns(everyone).flatten())
    assert torch.equal(back.rollouts(everyone), tiny_zoo.rollouts(everyone))
    assert back.tasks(everyone) == tiny_zoo.tasks(everyone)
    for name in ("run", "step", "split", "performance"):
        assert back.column(name).tolist() == pytest.approx(tiny_zoo.column(name).tolist())
    np.testing.assert_allclose(back.column("validation_loss"), tiny_zoo.column("validation_loss"), atol=1e-6)


def test_what_cannot_be_exported_says_why(zoo: Zoo, copy: Path, tmp_path: Path) -> None:
    manifest = zoo.manifest
    dataclasses.replace(manifest, shards=manifest.shards[:1]).write(copy)
    with pytest.raises(DataError, match=r"is not finished\n.*rerun `rnn2vec zoo build` to finish it first"):
        export_release(Zoo.open(copy), tmp_path / "out")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"exists and is not a release"):
        export_release(zoo, tmp_path / "thesis")
    zoo.spec = dataclasses.replace(zoo.spec, cell="gru")
    with pytest.raises(
        UsageError, match=r"a zoo of formal-languages with gru 2x8.*\n.*give a zoo of formal-languages or tiled"
    ):
        export_release(zoo, tmp_path / "out")


def test_a_full_disk_leaves_no_part_of_an_array(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, f"No space left on device, {descriptor}")

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(public_export.os, "fsync", refuse)
    with pytest.raises(StorageError, match=r"could not be (written|made).*no space left"):
        export_release(zoo, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.npy"))
    assert not list((tmp_path / "out").glob(".*"))
