"""The body of each request, which is checked before anything computes. No tensor is known here."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

MAX_ROWS, MAX_DRAWS = 10_000, 100_000
MAX_SEED = (1 << 53) - 1  # the largest whole number that every reader of JSON keeps


def check_row(row: Any) -> Any:
    """A row as JSON has it. ValueError where it holds what no data hold."""
    if isinstance(row, dict):
        for name, cell in row.items():
            if isinstance(cell, dict | list) or not is_finite(cell):
                raise ValueError(f"{name[:100]!r} is no text, finite number, true, false or null")
        return row
    if not isinstance(row, list):
        raise ValueError("a row is an object, or an array of numbers")
    check_numbers(row)
    return row


def check_numbers(row: list[Any]) -> None:
    """ValueError where an array of any depth holds something other than finite numbers and null."""
    for cell in row:
        if isinstance(cell, list):
            check_numbers(cell)
        elif isinstance(cell, dict | str) or not is_finite(cell):
            raise ValueError("a row of an array holds something other than finite numbers")


def is_finite(cell: Any) -> bool:
    """True of all but NaN and what is infinite, which JSON has not, though some readers take them."""
    return not isinstance(cell, float) or math.isfinite(cell)


Row = Annotated[
    Any,
    AfterValidator(check_row),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array"}]}),
]
Rows = Annotated[
    list[Row],
    Field(min_length=1, max_length=MAX_ROWS, description="Rows, as the training rows were."),
]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, description="Decides every draw.")]
Given = Annotated[
    dict[str, Any], AfterValidator(check_row), Field(description="What is known: values by column.")
]
Particles = Annotated[int, Field(ge=1, le=100_000, description="Draws behind an estimate.")]
Column = Annotated[str, Field(min_length=1, max_length=10_000)]


class Body(BaseModel):
    """A request's body: nothing is converted, and no name is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Score(Body):
    """Tell how plausible each row is: nats, bits per variable, p-value, what surprises most."""

    rows: Rows
    each: Annotated[bool, Field(description="Also the bits of each variable.")] = False
    fdr: Annotated[
        float | None, Field(gt=0, lt=1, description="Mark anomalies at this false discovery rate.")
    ] = None


class Conditionals(Body):
    """Tell p(x_i | earlier) of each cell, and the same as surprisal in bits."""

    rows: Rows


class Sample(Body):
    """Draw rows, with columns held to values where some are given."""

    n: Annotated[int, Field(ge=1, le=MAX_DRAWS)]
    seed: Seed = 0
    given: Given | None = None
    complete: Annotated[bool, Field(description="No cell is a hole.")] = False


class Query(Body):
    """Tell the distribution of a column given others, all else summed out."""

    target: Column
    given: Given = {}
    seed: Seed = 0
    particles: Particles = 1000


class Impute(Body):
    """Fill every hole by a draw given the cells that are known; `draws` fillings of each row."""

    rows: Rows
    seed: Seed = 0
    draws: Annotated[int, Field(ge=1, le=100)] = 1


class Complete(Body):
    """Fill all holes of a row by what is most probable together."""

    rows: Rows
    holes: Annotated[bool, Field(description="A filled cell may be a hole.")] = False


class Classify(Body):
    """Tell the probability of each label of a column given the rest of each row."""

    rows: Rows
    target: Column | None = None


class Regress(Body):
    """Tell the distribution of a number given the rest of each row: mean and quantiles."""

    rows: Rows
    target: Column | None = None
    seed: Seed = 0
    particles: Particles = 1000


class Encode(Body):
    """Tell the latents that stand for each row."""

    rows: Rows


class Reconstruct(Body):
    """Decode each row from its latents alone."""

    rows: Rows


class Interpolate(Body):
    """Decode rows along the straight line between the latents of two."""

    a: Row
    b: Row
    steps: Annotated[int, Field(ge=2, le=1000)] = 8


class Entropy(Body):
    """Tell the entropy of all columns that are not given, together, in nats."""

    given: Given = {}


class Information(Body):
    """Tell the mutual information of two columns in nats, given others."""

    a: Column
    b: Column
    given: Given = {}


class Evaluate(Body):
    """Tell the mean log p of rows, with its error."""

    rows: Rows


BODIES: dict[str, type[Body]] = {
    body.__name__.lower(): body
    for body in (
        Score, Conditionals, Sample, Query, Impute, Complete, Classify, Regress, Encode, Reconstruct, Interpolate,
        Entropy, Information, Evaluate,
    )
}  # fmt: skip
