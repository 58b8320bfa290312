"""The time that an answer would take, told before it is begun: an estimate from the speeds that the run has on record."""

from __future__ import annotations

from typing import Any

from plausibly.service.problems import Problem

PARTICLES = 64  # weighted draws behind a cell that is filled by an estimate


def estimate_seconds(hello: dict[str, Any], task: str, asked: dict[str, Any]) -> float:
    """About how many seconds a request takes; 0 where the run has no speeds on record."""
    scored, sampled = (
        hello.get(f"rows_{done}_per_second") or 0.0 for done in ("scored", "sampled")
    )
    rows, word = len(asked.get("rows", ())), hello["tasks"][task].get("word")
    passes = {
        "score": rows * (1 + hello["variables"] * bool(asked.get("each"))),
        "conditionals": rows,
        "evaluate": rows,
        "classify": 20 * rows,
        "regress": 20 * rows,
    }.get(task, 0)
    draws = asked.get("n", 0) if task == "sample" else 0
    if word == "estimate":
        draws += {
            "query": asked.get("particles", 1000),
            "impute": PARTICLES * rows * asked.get("draws", 1),
            "sample": PARTICLES * asked.get("n", 0) if asked.get("given") else 0,
        }.get(task, 0)
    return sum(amount / speed for amount, speed in ((passes, scored), (draws, sampled)) if speed)


def refuse_long(hello: dict[str, Any], task: str, asked: dict[str, Any], most: float) -> None:
    """Problem where a request would take longer than it may."""
    seconds = estimate_seconds(hello, task, asked)
    if seconds > most:
        raise Problem(
            422,
            f"this would take about {seconds:.0f} s, and a request may take {most:g}; ask for fewer rows or draws at once",
            seconds=round(seconds, 1),
        )
