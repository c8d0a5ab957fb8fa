"""Fixtures of the solver's tests."""

import pytest

from selflabel.assignment import kernels
from selflabel.assignment.stores import DenseStore, PackedStore, SparseStore


@pytest.fixture
def compiled(monkeypatch):
    """Compiled kernels however few the scores."""
    monkeypatch.setattr(kernels, "MIN_COMPILED_ENTRIES", 0)


@pytest.fixture
def store_kinds(monkeypatch):
    """The kinds of store that solves created, in order."""
    kinds = []
    for kind in (DenseStore, PackedStore, SparseStore):
        original = kind.__init__

        def record(self, *args, kind=kind, original=original):
            kinds.append(kind)
            original(self, *args)

        monkeypatch.setattr(kind, "__init__", record)
    return kinds
