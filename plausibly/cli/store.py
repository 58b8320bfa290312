"""Commands that keep: compress, decompress, seal, upgrade."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from plausibly.cli.app import app
from plausibly.cli.console import Common, GuardFormulas, OwnModel, print_result, row_meter
from plausibly.cli.options import parse_rows
from plausibly.errors import UserError
from plausibly.printing import print_line


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
    common: Common | None = None,
) -> None:
    """Write the rows of DATA to FILE in as few bits as RUN finds them plausible, without loss.

    Parameters
    ----------
    embed
        put the model into FILE too, its weights in half precision; else RUN is needed to decompress.
    verify
        decode what was written before calling it done.
    """
    common = common or Common()
    from plausibly.jobs import compression, provenance
    from plausibly.runs.run import Run

    opened = Run.open(run, common.device, model)
    found = compression.compress(opened, data, file, embed, verify, row_meter(common))

    def text() -> None:
        print_line(
            f"{found.rows:,} rows of {data}, {found.original:,} bytes, in {file}: {found.file:,} bytes"
        )
        bits, payload = found.model_bits, found.per_variable(8 * found.payload)
        sign = f"{found.sign} " * (found.sign != "=")
        ideal = (
            "" if bits is None else f"; the model's -log2 p is {sign}{found.per_variable(bits):.4f}"
        )
        print_line(f"{payload:.4f} bits a variable{ideal}{found.of}")
        for name, size in found.rivals.items():
            print_line(
                f"{name:>5} {size:12,} bytes, {found.per_variable(8 * size):.4f} bits a variable"
            )
        for note in found.notes:
            print_line(f"values come back equal, but {note}")
        print_line("decoded again: the same rows" if verify else "not decoded again: --no-verify")
        print_line(
            "the model is in it"
            if embed
            else f"to decompress it, keep {run} as it is; --embed puts the model into it"
        )
        print_line(
            f"decoded by {provenance.reader_versions()}, for certain on a processor like this: {provenance.processor()}"
        )

    print_result(found.to_json() | {"file": file}, common, text)


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
    common: Common | None = None,
) -> None:
    """Write the rows that RUN compressed to FILE to DATA: .csv, .parquet, .npz, whatever can hold them.

    `plausibly decompress FILE DATA` is enough where FILE holds its model, or RUN is where it was.

    Parameters
    ----------
    rows
        only some, counted from 0: FIRST:END.
    """
    common = common or Common()
    from plausibly.jobs import compression
    from plausibly.runs.run import Run

    some = None if rows is None else parse_rows(rows)
    opened = None if data is None else Run.open(run, common.device, model)
    file, data = (run, file) if data is None else (file, data)
    number = compression.decompress(file, data, opened, some, row_meter(common), guard_formulas)
    print_result(
        {"rows": number, "out": data}, common, lambda: print_line(f"{number:,} rows in {data}")
    )


@app.command
def seal(run: str, /, *, model: OwnModel = None, common: Common | None = None) -> None:
    """Renew the checksums of RUN, or of a folder that `compare` made, after an edit by hand; they tell damage, not malice."""
    common = common or Common()
    from plausibly.fitting.resealing import seal

    found = seal(run, model)

    def text() -> None:
        for file, how in found.items():
            print_line(f"{file}: {how}")

    print_result({"run": run, "sealed": found}, common, text)


@app.command
def upgrade(*runs: str, common: Common | None = None) -> None:
    """Rewrite RUNS of earlier versions as this one writes them: their scores stay the same, and all commands open both.

    A run of a later version is left as it is, and that version named.
    """
    common = common or Common()
    from plausibly.runs import upgrading

    if not runs:
        raise UserError("RUN is missing; for example: plausibly upgrade runs/best-1")
    found = [upgrading.upgrade(run) for run in runs]

    def text() -> None:
        for each in found:
            print_line(each.line())

    print_result({"runs": [each.to_json() for each in found]}, common, text)
