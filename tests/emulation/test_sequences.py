"""Input sequences: every form and file, several lengths, and data that are not what they seem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.emulation.recorded import Recorded
from rnn2vec.emulation.sequences import Sequences
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

TOKENS = np.arange(6).reshape(2, 3)
SERIES = np.random.default_rng(0).normal(size=(20, 7, 2))


def test_inputs_come_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", TOKENS)
    pq.write_table(pa.table({"inputs": TOKENS.tolist()}), tmp_path / "tokens.parquet")
    for given in (TOKENS, torch.from_numpy(TOKENS), tmp_path / "tokens.npy", str(tmp_path / "tokens.parquet")):
        sequences = Sequences.read(given, 6, 1)
        assert (sequences.kind, sequences.numbers, sequences.is_shared) == ("categorical", (2,), True)
        np.testing.assert_array_equal(sequences.groups[0], TOKENS)


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"other": [[1]]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"inputs": [[[1.0], [2.0, 3.0]]]}), tmp_path / "ragged.parquet")
    with pytest.raises(UsageError, match="has no column 'inputs', but other"):
        Sequences.read(tmp_path / "other.parquet", 1, 1)
    with pytest.raises(DataError, match="steps of different sizes"):
        Sequences.read(tmp_path / "ragged.parquet", 1, 1)
    with pytest.raises(UsageError, match="is not a file"):
        Sequences.read(tmp_path / "none.npy", 1, 1)
    for torn in ("torn.npy", "torn.parquet"):
        (tmp_path / torn).write_bytes(b"no")
        with pytest.raises(DataError, match="cannot be read"):
            Sequences.read(tmp_path / torn, 1, 1)


def test_sequences_of_different_lengths_are_grouped_and_never_padded(tmp_path: Path) -> None:
    whole = [SERIES[row, : 3 + row % 5] for row in range(20)]
    pq.write_table(pa.table({"inputs": [one.tolist() for one in whole]}), tmp_path / "series.parquet")
    padded = SERIES.copy()
    for row, one in enumerate(whole):
        padded[row, len(one) :] = np.nan
    for given in (whole, tmp_path / "series.parquet", padded):
        sequences = Sequences.read(given, 2, 1)
        assert len(sequences.groups) == 5
        assert sequences.numbers == (4,) * 5
        assert [group.shape[1] for group in sequences.groups] == [3, 4, 5, 6, 7]
        assert "sequences of 3 to 7 steps in 5 groups of one length each: 0% of the steps are cut" in sequences.notes
        assert sequences.longest_group().shape == (4, 7, 2)
        starts = sorted(float(one[0, 0]) for one in sequences.pooled())
        np.testing.assert_allclose(starts, np.sort(SERIES[:, 0, 0]), rtol=1e-6)
    assert Sequences.read(padded, 2, 1).notes[0].startswith("NaN at the end of 16 sequences is padding")


def test_rnns_are_asked_groups_of_every_length() -> None:
    spec = RNNSpec(cell="gru", input_size=2, hidden_size=3, num_layers=1, output_size=1)
    stack = RNNStack.from_flat(spec, torch.rand(6, spec.num_parameters))
    sequences = Sequences.read([SERIES[row, : 3 + row % 3] for row in range(20)], 2, 6)
    part = Recorded([stack], sequences, np.arange(6) == 2).part("train", device="cpu")
    lengths = {part.draw(np.random.default_rng(seed), 3, 2).inputs.shape[2] for seed in range(30)}
    assert lengths == {3, 4, 5}


@pytest.mark.parametrize(
    ("inputs", "size", "note"),
    [
        (np.zeros((3, 4, 2)), 2, "all inputs are zero"),
        (SERIES * [1, 0], 2, "features [1] never change"),
        (SERIES * [1, 1e5], 2, "features differ in spread by a factor of"),
        (np.eye(3)[np.arange(12).reshape(3, 4) % 3], 3, "inputs are one-hot: give token numbers"),
        (np.full((3, 4), 2), 5, "every token is 2"),
    ],
)
def test_data_that_surprise_are_pointed_out(inputs: np.ndarray, size: int, note: str) -> None:
    (said,) = Sequences.read(inputs, size, 1).notes
    assert said.startswith(note)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (SERIES[..., :1], r"shape \(20, 7, 1\), float64, for 4 RNNs with 2 inputs"),
        (TOKENS.astype(float), "these look like tokens: give whole numbers"),
        (np.ones((3, 4, 2), dtype=int), "give features as floats"),
        (TOKENS, r"tokens from 0 to 5 for RNNs with 2 inputs\n.*as floats"),
        (np.where(SERIES > 2, np.nan, SERIES), "NaN or infinite numbers"),
        (np.full((3, 4, 2), np.nan), "NaN or infinite numbers"),
        (np.full((3, 4, 2), np.inf), "NaN or infinite numbers"),
        ([SERIES[0], SERIES[1, :, :1]], "a list of 2 sequences with steps of shapes"),
        ([], "a list of 0 sequences"),
        (np.array([["a"]]), "input sequences of <U1"),
    ],
)
def test_data_that_are_something_else_are_refused(inputs: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Sequences.read(inputs, 2, 4)
