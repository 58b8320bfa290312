"""Unit tests train nothing: one that does is told where such tests are."""

import pytest

from plausibly.fitting import fit, in_memory
from plausibly.training.loop import Training


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a unit test trains nothing: move it to tests/fits")

    monkeypatch.setattr(Training, "run", refuse)
    for module in (fit, in_memory):
        monkeypatch.setattr(module, "fit_by_counting", refuse)
