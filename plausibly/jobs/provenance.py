"""The writer of a compressed file: versions, processor, and hashes of the model and of its probabilities."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from plausibly.coding.streams import FORMAT_VERSION, CodingProbe
from plausibly.jobs.blocks import ROWS_PER_BLOCK, as_codes
from plausibly.runs.run import Run
from plausibly.system.versions import __version__
from plausibly.tasks.compress import compress as code_events

MARK = b"PLSB"


FIRST_VERSIONS = {1: "0.1.0", 2: "0.2.0"}  # forms, and the first version that decodes each


CODING_PACKAGES = ("torch", "numpy", "constriction")


def model_hash(run: Run) -> str:
    """A hash that tells the model and the format of its rows from others."""
    record = run.record
    parts = [record.model, record.arguments, record.format, record.weights_sha256]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def probe_hash(run: Run, rows: int) -> str:
    """A hash of the whole numbers that probabilities become on fixed events, as many as a block of so many rows has."""
    number = min(rows, ROWS_PER_BLOCK)
    picks, schema, coder = np.random.default_rng(0), run.model.schema, CodingProbe()
    columns = [
        picks.standard_normal(number) if kind.continuous else picks.integers(0, kind.codes, number)
        for kind in schema.kinds
    ]
    events = torch.from_numpy(np.stack(columns, 1).astype(np.float32)).reshape(
        number, *schema.shape
    )
    code_events(run.model, coder, as_codes(events, schema), number)
    return coder.digest.hexdigest()[:16]


def writer_versions() -> dict[str, str]:
    """The versions and the processor that probabilities depend on."""
    versions = {"plausibly": __version__} | {name: version(name) for name in CODING_PACKAGES}
    return versions | {"machine": platform.machine(), "processor": processor_name()}


def processor_name() -> str:
    """The processor's name, and the instructions that torch uses of it: `AMD EPYC 7763 64-Core Processor (AVX2)`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not on Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def reader_versions() -> str:
    """The versions that decode what this one writes."""
    return f"plausibly {FIRST_VERSIONS[FORMAT_VERSION]} and later"


def file_head(form: int) -> bytes:
    """The first bytes of a file of that form."""
    said = FIRST_VERSIONS[form].encode() if form > 1 else b""
    return MARK + bytes([form, len(said)][: 1 + bool(said)]) + said
