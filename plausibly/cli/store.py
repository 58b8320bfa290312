"""Commands that keep: compress, decompress, seal, upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import Block, WrittenRowsPrintout, print_result
from plausibly.cli.options import CommonOptions, GuardFormulas, OwnModel, parse_rows
from plausibly.cli.progress import row_meter
from plausibly.errors import UserError

if TYPE_CHECKING:
    from plausibly.jobs.measure import Measure
    from plausibly.runs.upgrading import Upgraded


@app.command
def compress(
    run: str,
    data: str,
    file: str,
    /,
    *,
    embed: Annotated[bool, Parameter(negative="")] = False,
    verify: bool = True,
    model: OwnModel = None,
    common: CommonOptions | None = None,
) -> None:
    """Write the rows of DATA to FILE in as few bits as RUN finds them plausible, without loss.

    Parameters
    ----------
    embed
        put the model into FILE too, its weights in half precision; else RUN is needed to decompress.
    verify
        decode what was written before calling it done.
    """
    common = common or CommonOptions()
    from plausibly.jobs import compression
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    found = compression.compress(opened, data, file, embed, verify, row_meter(common))
    print_result(CompressionPrintout(found, run, data, file, embed, verify), common)


@dataclass(frozen=True)
class CompressionPrintout:
    """The file of compressed rows, beside other programs and beside what the model promises."""

    found: Measure
    run: str
    data: str
    file: str
    embed: bool
    verify: bool

    def to_json(self) -> dict[str, Any]:
        return self.found.to_json() | {"file": self.file}

    def blocks(self) -> Iterator[Block]:
        from plausibly.jobs.provenance import processor_name, reader_versions

        found = self.found
        yield (
            f"{found.rows:,} rows of {self.data}, {found.original:,} bytes, "
            f"in {self.file}: {found.file:,} bytes"
        )
        yield self.bits_line()
        for name, size in found.rivals.items():
            bits = found.per_variable(8 * size)
            yield f"{name:>5} {size:12,} bytes, {bits:.4f} bits a variable"
        for note in found.notes:
            yield f"values come back equal, but {note}"
        yield "decoded again: the same rows" if self.verify else "not decoded again: --no-verify"
        if self.embed:
            yield "the model is in it"
        else:
            yield f"to decompress it, keep {self.run} as it is; --embed puts the model into it"
        here = f"for certain on a processor like this: {processor_name()}"
        yield f"decoded by {reader_versions()}, {here}"

    def bits_line(self) -> str:
        found = self.found
        line = f"{found.per_variable(8 * found.payload):.4f} bits a variable"
        if found.model_bits is not None:
            sign = "" if found.sign == "=" else f"{found.sign} "
            line += f"; the model's -log2 p is {sign}{found.per_variable(found.model_bits):.4f}"
        return line + found.of


@app.command
def decompress(
    run: str,
    file: str,
    data: str | None = None,
    /,
    *,
    rows: str | None = None,
    guard_formulas: GuardFormulas = False,
    model: OwnModel = None,
    common: CommonOptions | None = None,
) -> None:
    """Write the rows that RUN compressed to FILE to DATA: .csv, .parquet, .npz, whatever can hold them.

    `plausibly decompress FILE DATA` is enough where FILE holds its model, or RUN is where it was.

    Parameters
    ----------
    rows
        only some, counted from 0: FIRST:END.
    """
    common = common or CommonOptions()
    from plausibly.jobs import compression
    from plausibly.runs.run import Run

    some = None if rows is None else parse_rows(rows)
    opened = None if data is None else Run.open(run, common.device, model)
    file, data = (run, file) if data is None else (file, data)
    number = compression.decompress(file, data, opened, some, row_meter(common), guard_formulas)
    print_result(WrittenRowsPrintout(number, data, {"rows": number, "out": data}), common)


@app.command
def seal(run: str, /, *, model: OwnModel = None, common: CommonOptions | None = None) -> None:
    """Renew the checksums of RUN, or of a folder that `compare` made, after an edit by hand; they tell damage, not malice."""
    common = common or CommonOptions()
    from plausibly.fitting import resealing

    print_result(SealPrintout(run, resealing.seal(run, model)), common)


@dataclass(frozen=True)
class SealPrintout:
    """The files with a checksum, and whether it is a new one."""

    run: str
    sealed: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return {"run": self.run, "sealed": self.sealed}

    def blocks(self) -> Iterator[Block]:
        for file, state in self.sealed.items():
            yield f"{file}: {state}"


@app.command
def upgrade(*runs: str, common: CommonOptions | None = None) -> None:
    """Rewrite RUNS of earlier versions as this one writes them: their scores stay the same, and all commands open both.

    A run of a later version is left as it is, and that version named.
    """
    common = common or CommonOptions()
    from plausibly.runs import upgrading

    if not runs:
        raise UserError("RUN is missing; for example: plausibly upgrade runs/best-1")
    print_result(UpgradePrintout([upgrading.upgrade(run) for run in runs]), common)


@dataclass(frozen=True)
class UpgradePrintout:
    """Runs that are, or were already, of this version."""

    runs: list[Upgraded]

    def to_json(self) -> dict[str, Any]:
        return {"runs": [run.to_json() for run in self.runs]}

    def blocks(self) -> Iterator[Block]:
        for run in self.runs:
            yield run.line()
