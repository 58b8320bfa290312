"""The part of the page about training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from plausibly.capabilities import BoundedModel
from plausibly.report import figures
from plausibly.report.sections import NO_MODEL, PageSection
from plausibly.report.subjects import Subject
from plausibly.runs.run import Run

COURSE_LEAD = (
    "Solid: loss on validation rows, −log p of their codes (for a model with a bound: of the bound). Dashed: the "
    "same on training rows. The dot marks the step whose weights were kept; a gap that grows to its right is "
    "overfitting."
)
OTHER_LOSSES = "Losses of their own kind, to be compared with no other"
GAME_HEALTH = "Health of the game: 0.5 is a critic that cannot tell, coverage about 0.97 is perfect"


def training_to_plot(run: Run) -> figures.PlottedTraining | None:
    """The course of a run's training; None where it left no log, or that was removed."""
    log = run.path / "log.jsonl"
    return figures.read_plotted_training(log) if log.is_file() and run.find_file(log.name) else None


def training_section(shown: list[Subject]) -> PageSection:
    """The course of every training by steps; who learned by counting is named."""
    found = [(subject, training_to_plot(subject.run)) for subject in shown]
    courses = [(subject, each) for subject, each in found if each]
    counted = ", ".join(subject.label for subject, each in found if not each)
    skipped = f"Without a curve, since they learn by counting or left no log: {counted}."
    leads = [skipped] if counted else []
    if not courses:
        return PageSection(missing="".join(leads) or NO_MODEL)
    return PageSection([COURSE_LEAD, *leads], plots=list(course_plots(courses)))


def course_plots(
    courses: Sequence[tuple[Subject, figures.PlottedTraining]],
) -> Iterator[tuple[str, Markup]]:
    """Losses that can be compared, losses that cannot, and the health of games, where there are any."""
    comparable = [each for each in courses if isinstance(each[0].run.model, BoundedModel)]
    others = [each for each in courses if not isinstance(each[0].run.model, BoundedModel)]
    if comparable:
        yield "", figures.training_plot(comparable)
    if others:
        yield OTHER_LOSSES, figures.training_plot(others, "a loss of its own kind")
    if games := [each for each in courses if any(each[1].health)]:
        yield GAME_HEALTH, figures.health_plot(games)
