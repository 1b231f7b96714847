"""Randomness, handed down: one generator per purpose, never a global one.

A purpose is a path of words and numbers below a seed: `("zoo", "run", 17)`. Two purposes give independent
streams, and a stream depends on nothing but its own path, so that pieces can be made in any order, in any
number of processes, or again after a crash, and come out the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Generator

import numpy as np
import torch


def seed_sequence(seed: int, *purpose: str | int) -> np.random.SeedSequence:
    """Return the NumPy seed sequence of a purpose below a seed (any integer >= 0)."""
    digest = hashlib.sha256(json.dumps(purpose).encode()).digest()  # ("a/b",) and ("a", "b") differ
    return np.random.SeedSequence([seed, *np.frombuffer(digest, dtype="<u4").tolist()])


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, *purpose)))


def torch_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a torch generator (on the CPU) for one purpose."""
    state = int(seed_sequence(seed, *purpose).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state >> 1)  # manual_seed takes 63 bits


@contextlib.contextmanager
def seeded_modules(seed: int, *purpose: str | int) -> Generator[None]:
    """Make new torch modules inside the context draw their weights from this purpose's stream.

    Modules can draw from torch's global generator only; its state is restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed_sequence(seed, *purpose).generate_state(1, np.uint64)[0]) >> 1)
        yield
