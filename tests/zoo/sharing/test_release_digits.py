"""The authors' layout of tiled MNIST: arrays of its names, shapes and dtypes, made here, come in and go out again.

The release itself is not at hand: what is tested is the layout as it is documented.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks import idx_images
from rnn2vec.tasks.tiled_mnist import TiledMnist
from rnn2vec.zoo.sharing import release_export as public_export
from rnn2vec.zoo.sharing import release_layouts as public_layouts
from rnn2vec.zoo.sharing.release_export import export_release
from rnn2vec.zoo.sharing.release_import import import_release
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

Arrays = dict[str, np.ndarray]
ANGLES = [33.25, 200.5, 330.0]
SHOWN = np.random.default_rng(2).integers(0, 100, (9, 4))
SPEC = RNNSpec(cell="lstm", input_size=16, hidden_size=32, num_layers=2, output_size=10)


def _rotated(images: np.ndarray, degrees: float) -> np.ndarray:
    """Counter-clockwise about the centre, nearest neighbour, black outside: pixel by pixel."""
    rotated, turn = np.zeros_like(images), np.exp(1j * np.radians(degrees))
    for row in range(28):
        for column in range(28):
            source = (column - 13.5 - 1j * (row - 13.5)) / turn  # x to the right, y up
            right, down = np.floor(13.5 + source.real + 0.5), np.floor(13.5 - source.imag + 0.5)
            if 0 <= right < 28 and 0 <= down < 28:
                rotated[:, row, column] = images[:, int(down), int(right)]
    return rotated


@pytest.fixture
def arrays(digits: Path) -> Arrays:
    """3 runs x 3 snapshots of the published size, untrained."""
    images = idx_images.read_folder(digits).images.reshape(-1, 28, 28)
    sequences = np.zeros((9, 4, 50, 16), dtype=np.float16)
    for rnn, angle in enumerate(np.repeat(ANGLES, 3)):
        pixels = ((_rotated(images[SHOWN[rnn]], angle) / 255 - 0.1307) / 0.3081).astype(np.float32)
        tiles = [pixels[:, y : y + 4, x : x + 4].reshape(4, 16) for y in range(0, 28, 4) for x in range(0, 28, 4)]
        sequences[rnn, :, 1:] = np.stack(tiles, axis=1)
    return _answered(
        {
            "parameters": np.random.default_rng(5).uniform(-0.18, 0.18, (9, SPEC.num_parameters)).astype(np.float32),
            "sequences": sequences,
            "tasks": np.repeat(ANGLES, 3)[:, None],
            "num_step": np.stack([[7] * 3 + [2] * 6, [0, 100, 200] * 3], axis=1).astype(np.int64),
            "accuracy_losses": np.random.default_rng(6).uniform(0, 1, (9, 4)),
        }
    )


def _answered(arrays: Arrays) -> Arrays:
    """Recompute the logits for the sequences."""
    stack = RNNStack.from_flat(SPEC, torch.from_numpy(arrays["parameters"]))
    with torch.no_grad():
        outputs, _ = stack(torch.from_numpy(arrays["sequences"]).float())
    return {**arrays, "logits": outputs.numpy().astype(np.float16)}


def _save(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.fixture
def options(digits: Path) -> dict[str, Path]:
    return {"folder": digits}


def test_pixels_become_numbers_of_images(tmp_path: Path, arrays: Arrays, options: dict[str, Path]) -> None:
    zoo = import_release(_save(tmp_path / "release", arrays), tmp_path / "zoo", options=options)
    assert isinstance(zoo.family, TiledMnist)
    assert zoo.family.tile_size == 4
    assert zoo.spec == SPEC
    np.testing.assert_array_equal(zoo.rollouts(range(9))[..., 0].numpy(), SHOWN)
    np.testing.assert_array_equal(zoo.rnns(range(9)).flatten().numpy(), arrays["parameters"])
    assert zoo.column("run").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert zoo.column("step").tolist() == [0, 100, 200] * 3
    assert zoo.column("angle").tolist() == np.repeat(ANGLES, 3).tolist()
    assert zoo.column("split").tolist() == ["train"] * 3 + ["validation"] * 3 + ["ood"] * 3
    stored = [zoo.column(name) for name in ("performance", "train_loss", "validation_loss", "weight_decay")]
    np.testing.assert_array_equal(np.stack(stored, axis=1), arrays["accuracy_losses"])
    np.testing.assert_array_equal(zoo.column("generalization_gap"), stored[2] - stored[1])
    assert zoo.properties.column("seed").null_count == 9
    assert verify(zoo, recompute=0) == []


def test_a_few_pixels_may_be_rounded_otherwise(tmp_path: Path, arrays: Arrays, options: dict[str, Path]) -> None:
    arrays["sequences"][:, :, 7, :8] = 0.5
    zoo = import_release(_save(tmp_path / "release", _answered(arrays)), tmp_path / "zoo", options=options)
    np.testing.assert_array_equal(zoo.rollouts(range(9))[..., 0].numpy(), SHOWN)


def test_many_images_are_searched_in_pieces(
    tmp_path: Path, arrays: Arrays, options: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_layouts, "_IMAGES_AT_A_TIME", 7)
    zoo = import_release(_save(tmp_path / "release", arrays), tmp_path / "zoo", options=options)
    np.testing.assert_array_equal(zoo.rollouts(range(9))[..., 0].numpy(), SHOWN)


def test_an_image_that_is_not_at_hand_is_named(tmp_path: Path, arrays: Arrays, options: dict[str, Path]) -> None:
    arrays["sequences"][4, 2, 10:] = 0.5
    folder = _save(tmp_path / "release", _answered(arrays))
    with pytest.raises(DataError) as caught:
        import_release(folder, tmp_path / "zoo", options=options)
    expected = f"rollout 2 of RNN 4 in {folder} matches no image of the data set, rotated by 200.5 degrees: the nearest"
    assert expected in str(caught.value)
    assert "allowed are 2%\n  -> set RNN2VEC_MNIST (or --mnist) to the folder" in str(caught.value)
    assert len(Zoo.open(tmp_path / "zoo").manifest.shards) == 0


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("tasks", lambda a: a + 100, "angles from 133.25 to 430 in tasks.npy, expected 0 to 360"),
        ("tasks", lambda a: a[:, 0], "tasks and sequences have the shapes (9,) and (9, 4, 50, 16), expected 2 and 4"),
        ("tasks", lambda a: a - 5, "matches no image of the data set, rotated by 28.2 degrees"),
        ("accuracy_losses", lambda a: a + 1, "an accuracy outside 0..1"),
        ("accuracy_losses", lambda a: np.where(a > 0.5, np.nan, a), "a negative or non-finite loss or weight decay"),
        ("num_step", lambda a: -a, "a negative run or step in num_step.npy"),
        ("sequences", lambda a: a + np.float16(0.1), "a first tile that is not blank"),
        ("sequences", lambda a: a[..., :15], "is float16 (9, 4, 50, 15), expected float16 (9, 4, 50, 16)"),
        ("sequences", lambda a: a[..., :9], "tile_size=3"),
        ("logits", lambda a: a[:, :, 1:], "logits.npy is float16 (9, 4, 49, 10), expected float16 (9, 4, 50, 10)"),
        ("parameters", lambda a: a[:, ::-1], "the weights have another architecture or another order"),
    ],
)
def test_arrays_that_are_no_release_say_what_is_wrong(
    tmp_path: Path,
    arrays: Arrays,
    options: dict[str, Path],
    name: str,
    change: Callable[[np.ndarray], np.ndarray],
    words: str,
) -> None:
    folder = _save(tmp_path / "release", {**arrays, name: change(arrays[name]).copy()})
    with pytest.raises(DataError) as caught:
        import_release(folder, tmp_path / "zoo", options=options)
    assert words in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_missing_array_is_named_with_both_layouts(tmp_path: Path, arrays: Arrays) -> None:
    del arrays["accuracy_losses"]
    with pytest.raises(UsageError) as caught:
        import_release(_save(tmp_path / "release", arrays), tmp_path / "zoo")
    assert "is not a release of tiled sequential MNIST: it lacks accuracy_losses.npy" in str(caught.value)
    assert "num_step_correct.npy, or one with parameters.npy" in str(caught.value)


def test_what_came_in_goes_out_as_it_was(
    tmp_path: Path, arrays: Arrays, options: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_export, "RNNS_PER_SHARD", 4)
    zoo = import_release(_save(tmp_path / "release", arrays), tmp_path / "zoo", options=options)
    files = export_release(zoo, tmp_path / "out")
    assert sorted(files) == sorted([*(f"{name}.npy" for name in arrays), "args.json"])
    arrays["num_step"][:, 0] = [0] * 3 + [1] * 3 + [2] * 3  # runs have numbers of their own
    for name, expected in arrays.items():
        found = np.load(tmp_path / "out" / f"{name}.npy", allow_pickle=False)
        assert found.dtype == expected.dtype
        if name == "logits":  # from pixels that were not rounded to float16
            np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), atol=2e-3)
        else:
            np.testing.assert_array_equal(found, expected)


def test_a_built_zoo_goes_out_and_comes_back(tiny_mnist_zoo: Zoo, tmp_path: Path, options: dict[str, Path]) -> None:
    export_release(tiny_mnist_zoo, tmp_path / "out")
    back = import_release(tmp_path / "out", tmp_path / "zoo", hidden_size=8, options=options)
    everyone = range(len(tiny_mnist_zoo))
    assert torch.equal(back.rnns(everyone).flatten(), tiny_mnist_zoo.rnns(everyone).flatten())
    assert torch.equal(back.rollouts(everyone), tiny_mnist_zoo.rollouts(everyone))
    assert back.tasks(everyone) == tiny_mnist_zoo.tasks(everyone)
    for name in ("run", "step", "split", "performance", "train_loss", "generalization_gap", "weight_decay"):
        assert back.column(name).tolist() == pytest.approx(tiny_mnist_zoo.column(name).tolist())
