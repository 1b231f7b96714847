"""Sealed safetensors: any changed byte is noticed, and other readers read them as always."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn2vec._errors import DataError, UsageError
from rnn2vec.training.sealed import load_sealed, save_sealed

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


def test_tensors_and_note_come_back_and_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_sealed(path, TENSORS, {"step": 3})
    tensors, note = load_sealed(path)
    assert note == {"step": 3}
    for one in (tensors, safetensors.torch.load_file(path)):
        assert one.keys() == TENSORS.keys()
        assert all(torch.equal(one[name], TENSORS[name]) for name in TENSORS)
    first = path.read_bytes()
    save_sealed(path, TENSORS, {"step": 3})
    assert path.read_bytes() == first


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_every_changed_byte_is_noticed(tmp_path: Path, place: int, byte: int, cut: bool) -> None:
    path = tmp_path / "model.safetensors"
    save_sealed(path, TENSORS, {"step": 3})
    data = bytearray(path.read_bytes())
    place %= len(data)
    if cut:
        del data[place:]
    elif data[place] == byte:
        return
    else:
        data[place] = byte
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"model\.safetensors (was changed|is damaged)"):
        load_sealed(path)


def test_a_file_without_a_seal_is_read_only_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(TENSORS, path)
    with pytest.raises(DataError, match="its checksum does not fit"):
        load_sealed(path)
    assert load_sealed(path, needs_seal=False)[1] == {}
    with pytest.raises(UsageError, match="is a folder, not a file"):
        load_sealed(tmp_path)
