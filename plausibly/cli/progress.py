"""Progress on stderr: of training, and of rows that are done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plausibly.cli.console import print_remark
from plausibly.cli.options import CommonOptions
from plausibly.printing import print_progress

if TYPE_CHECKING:
    from plausibly.fitting.settings import Listener

SECONDS_BETWEEN_LINES = 10  # in a file or a pipe, where lines are not rewritten


def make_listener(common: CommonOptions) -> Listener:
    """Sends lines and progress to stderr: a moving line with the time left on a terminal, else one now and then."""
    from plausibly.fitting.settings import Listener

    if common.quiet:
        return Listener()
    return Listener(
        lambda line: print_remark(common, line), ProgressMeter(), row_meter(common, "cells read")
    )


class ProgressMeter:
    """Prints training progress: the current line is rewritten on a terminal, otherwise a new one every 10 s."""

    def __init__(self) -> None:
        self.printed = 0.0

    def __call__(self, name: str, progress: Any) -> None:
        import time

        last = progress.step >= progress.steps
        recent = time.monotonic() - self.printed < SECONDS_BETWEEN_LINES
        if recent and not last and not sys.stderr.isatty():
            return
        self.printed = time.monotonic()
        left = progress.seconds / max(progress.step, 1) * (progress.steps - progress.step)
        line = f"  {name} {progress.step:,}/{progress.steps:,}  {progress_line(progress)}"
        line += f"  {progress.seconds:.0f} s, at most {left:.0f} s left"
        print_progress(line, last, 110)


def progress_line(progress: Any) -> str:
    """Says where training stands: nats, higher is better, or the validation's own unit, lower is better."""
    if progress.unit == "nats per row":
        return f"train {-progress.loss:.3f}  validation {-progress.validation:.3f} nats per row"
    health = [f"{name} {value:.2f}" for name, value in progress.health.items()]
    return "  ".join([f"{progress.unit} {progress.validation:.4f}", *health])


def row_meter(common: CommonOptions, unit: str = "rows") -> Callable[[int, int], None]:
    """Counts rows, or other units, on stderr where that takes long; a quiet command gets one that is silent."""
    return (lambda done, rows: None) if common.quiet else RowMeter(unit)


class RowMeter:
    """Prints rows done and the time left: every second on a terminal, on one line, otherwise every 10 s."""

    def __init__(self, unit: str) -> None:
        import time

        self.unit = unit
        self.clock = time.monotonic
        self.began = self.printed = self.clock()

    def __call__(self, done: int, rows: int) -> None:
        now = self.clock()
        live = sys.stderr.isatty()
        if not done:  # what comes before the first is no measure of the rest
            self.began = self.printed = now
            return
        closing = live and done >= rows and self.printed > self.began
        if now - self.printed < (1 if live else SECONDS_BETWEEN_LINES) and not closing:
            return
        self.printed = now
        print_progress(f"  {self._describe(done, rows, now - self.began)}", closing, 60)

    def _describe(self, done: int, rows: int, seconds: float) -> str:
        if rows < done:  # nobody knows how many there are
            return f"{done:,} {self.unit}"
        left = seconds / done * (rows - done)
        return f"{done:,} of {rows:,} {self.unit}  {left:.0f} s left"
