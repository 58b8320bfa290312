"""Plausibly learns what data looks like, and tells how plausible anything is.

run = plausibly.fit("people.csv")          board = plausibly.compare("people.csv")
run.sample(5); run.score("more.csv")       board.frame()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from plausibly.system.versions import __version__ as __version__

if TYPE_CHECKING:
    from plausibly.data.loading import load
    from plausibly.estimators import DensityClassifier, DensityEstimator
    from plausibly.fitting.api import fit, resume
    from plausibly.fitting.compare import compare
    from plausibly.fitting.ensemble import mix_runs as ensemble
    from plausibly.jobs.compression import compress, decompress
    from plausibly.runs.run import Run

__all__ = [
    "DensityClassifier",
    "DensityEstimator",
    "Run",
    "compare",
    "compress",
    "decompress",
    "ensemble",
    "fit",
    "load",
    "open",
    "resume",
]

_PLACES = {
    "fit": "fitting.api",
    "compare": "fitting.compare",
    "resume": "fitting.api",
    "load": "data.loading",
    "compress": "jobs.compression",
    "decompress": "jobs.compression",
    "Run": "runs.run",
    "DensityEstimator": "estimators",
    "DensityClassifier": "estimators",
}


def __getattr__(name: str) -> Any:
    # on first use, so that `plausibly --help` does not wait for torch
    if name == "open":
        return import_module("plausibly.runs.run").Run.open
    if name == "ensemble":
        return import_module("plausibly.fitting.ensemble").mix_runs
    if name in _PLACES:
        return getattr(import_module(f"plausibly.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'plausibly' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
