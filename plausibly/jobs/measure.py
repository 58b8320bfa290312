"""The size that compressing came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from plausibly.jobs.provenance import processor_name, reader_versions


@dataclass
class Measure:
    """The result of compressing. `model_bits`: -log2 p of all rows, or their bound (`sign` <=); None of densities of reals.

    All bits are of all `variables`, the `context` included, which bits per variable of a likelihood leave out. Columns that
    are set aside, such as ids, are in the payload and in nothing else.
    """

    rows: int = 0
    variables: int = 0
    file: int = 0
    payload: int = 0
    model_bits: float | None = 0.0
    sign: str = "="
    context: tuple[str, ...] = ()
    original: int = 0
    verified: bool = False
    notes: list[str] = field(default_factory=list)
    rivals: dict[str, int] = field(default_factory=dict)

    def add_block(self, rows: int, payload: int, bits: float) -> None:
        """Adds what one block holds."""
        self.rows += rows
        self.payload += payload
        self.model_bits = (self.model_bits or 0.0) + bits

    def per_variable(self, bits: float) -> float:
        return bits / (self.rows * self.variables)

    @property
    def of(self) -> str:
        """The variables that bits are of, where there is a context."""
        names = f"{', '.join(self.context[:3])}{' ...' if len(self.context) > 3 else ''}"
        return f"; of all {self.variables:,} variables, {names} included" if self.context else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "bytes": self.file,
            "payload_bytes": self.payload,
            "variables": self.variables,
            "context": list(self.context),
            "bits_per_variable": self.per_variable(8 * self.payload),
            "model_bits_sign": self.sign,
            "model_bits_per_variable": None
            if self.model_bits is None
            else self.per_variable(self.model_bits),
            "decoded_by": reader_versions(),
            "processor": processor_name(),
            "original_bytes": self.original,
            "verified": self.verified,
            "rivals": self.rivals,
            "notes": self.notes,
        }
