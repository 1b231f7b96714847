"""Change our own files as an attacker would: with checksums that fit the changed contents."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from rnn2vec._files import canonical_json, sha256_of, write_sealed
from rnn2vec.training.sealed import load_sealed, save_sealed


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    """Change the contents of a sealed JSON file; the weights beside a model's config learn its new checksum."""
    values = json.loads(path.read_text())
    values.pop("checksum", None)
    changed = change(values)
    values = values if changed is None else changed
    if isinstance(values, dict):
        write_sealed(path, values)
    else:
        path.write_text(json.dumps(values))
    weights = path.with_name("model.safetensors")
    if path.name == "config.json" and weights.is_file():
        tensors, _ = load_sealed(weights)
        save_sealed(weights, tensors, {"config": sha256_of(canonical_json(values).encode())})


def rewrite_weights(path: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """Change the tensors of a sealed safetensors file in place."""
    tensors, note = load_sealed(path)
    change(tensors)
    save_sealed(path, tensors, note)
