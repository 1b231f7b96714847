"""The verbs on a zoo of image classifiers, as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rnn2vec.cli import main
from rnn2vec.tasks import idx_images

Captured = pytest.CaptureFixture[str]
OPTIONS = [
    "--preset", "tiny", "--runs", "3", "--steps", "5", "--hidden-size", "8", "--family-options", "tile_size=14",
    "--episodes", "10", "--rollouts", "5", "--backend", "torch",
]  # fmt: skip


@pytest.fixture(scope="module")
def zoo(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a zoo that `--mnist` was given for."""
    out = tmp_path_factory.mktemp("cli") / "zoo"
    assert main(["zoo", "build", "tiled-mnist", *OPTIONS, "--mnist", str(digits), "--out", str(out), "--json"]) == 0
    return out


@pytest.fixture
def new_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reset to the state of a new process: no images have been read, and none are available."""
    monkeypatch.delenv(idx_images.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(idx_images, "_known", {})
    idx_images.read_folder.cache_clear()


@pytest.mark.usefixtures("new_program")
def test_from_a_zoo_to_vectors(zoo: Path, digits: Path, tmp_path: Path, capsys: Captured) -> None:
    run, vectors = tmp_path / "run", tmp_path / "vectors.parquet"
    pretrain = ["pretrain", str(zoo), "--preset", "tiny", "--steps", "3", "--out", str(run), "--mnist", str(digits)]
    assert main(pretrain) == 0
    assert "total-variation 0." in capsys.readouterr().out
    metrics = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    distances = {name.removeprefix("validation/") for name in metrics if name.startswith("validation/")}
    assert distances == {"total-variation", "forward-kl", "reverse-kl", "js"}
    assert main(["embed", str(zoo), "--model", str(run), "--out", str(vectors)]) == 0
    assert pq.read_table(vectors).num_rows == 6
    assert not any(bytes(digits) in file.read_bytes() for file in run.iterdir())


@pytest.mark.usefixtures("new_program")
def test_the_environment_variable_names_the_images(
    zoo: Path, digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv(idx_images.ENVIRONMENT_VARIABLE, str(digits))
    assert main(["zoo", "verify", str(zoo)]) == 0
    assert "intact and complete" in capsys.readouterr().out


@pytest.mark.usefixtures("new_program")
def test_without_images_a_zoo_is_still_shown_and_drawn(zoo: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["zoo", "info", str(zoo), "--plot", str(tmp_path / "zoo.svg"), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["family"] == "tiled-mnist"
    assert card["ood_rule"] == "the angle is at least 312 degrees"
    assert (tmp_path / "zoo.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        ("zoo.png", "does not end in .svg\n  -> give a file name that ends in .svg."),
        ("nowhere/zoo.svg", "nowhere is not a folder\n  -> give a file in an existing folder."),
    ],
)
def test_a_picture_needs_a_place(zoo: Path, tmp_path: Path, capsys: Captured, plot: str, words: str) -> None:
    assert main(["zoo", "info", str(zoo), "--plot", str(tmp_path / plot)]) == 2
    assert words in capsys.readouterr().err


def test_options_of_one_family_are_not_anothers(tmp_path: Path, capsys: Captured) -> None:
    command = ["zoo", "build", "formal-languages", "--out", str(tmp_path / "zoo")]
    assert main([*command, "--family-options", "tile_size=4"]) == 2
    assert "known: alphabet_size" in capsys.readouterr().err
    assert main([*command, "--mnist", str(tmp_path)]) == 2
    assert "--mnist for formal-languages, which reads no images" in capsys.readouterr().err


def test_a_folder_without_images_is_named(tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "zoo"
    assert main(["zoo", "build", "tiled-mnist", *OPTIONS, "--mnist", str(tmp_path), "--out", str(out)]) == 2
    assert f"{tmp_path} has neither train-images-idx3-ubyte.gz nor" in capsys.readouterr().err
    assert not out.exists()
