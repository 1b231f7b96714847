"""Memory that kernels borrow."""

from __future__ import annotations

import pytest

from rnn2vec.rnn import lease as lease_module
from rnn2vec.rnn.lease import Lease


def test_memory_comes_back_when_a_lease_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_pool", [])  # memory of earlier tests might fit better
    lease = Lease(1000, 24)
    address = lease.parts[0].data_ptr()
    del lease

    assert Lease(1024).parts[0].data_ptr() == address


def test_two_leases_share_nothing() -> None:
    one, other = Lease(500), Lease(500)
    one.parts[0].fill_(1.0)
    other.parts[0].fill_(2.0)

    assert bool((one.parts[0] == 1.0).all())


def test_every_part_begins_with_a_line_of_the_cache() -> None:
    lease = Lease(3, 17, 100)

    assert [len(part) for part in lease.parts] == [3, 17, 100]
    assert all(part.data_ptr() % 64 == 0 for part in lease.parts)
