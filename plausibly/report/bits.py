"""The parts of the page about where bits go: by variable, by part of the ELBO, by codebook."""

from __future__ import annotations

from dataclasses import dataclass

from plausibly.capabilities import Quantiser, Variational, device_of
from plausibly.data.dataset import Dataset
from plausibly.data.formats.format import leave_out
from plausibly.evaluation.likelihood.codebook import codebook_use
from plausibly.evaluation.likelihood.elbo import ElboParts, elbo_parts
from plausibly.report import figures
from plausibly.report.sections import MAX_TEST_ROWS, NO_DATA, NO_MODEL, PageSection
from plausibly.report.subjects import Subject
from plausibly.system.randomness import Stream, generator_for

MIN_ELBO_ROWS = 20  # whose ELBO is taken apart; more where a row takes few numbers
MAX_ELBO_ROWS = 200
MAX_ELBO_NUMBERS = 1 << 17


def surprisal_section(shown: list[Subject], dataset: Dataset | None) -> PageSection:
    """Where the bits go: by pixel for each model, or by column."""
    if dataset is None or not shown:
        return PageSection(missing=NO_MODEL if not shown else NO_DATA)
    codes = dataset.test.codes[:MAX_TEST_ROWS]
    found = figures.mean_surprisal(shown, codes)
    if not found:
        return PageSection(missing="None of these models factorises log p(x) over the variables.")
    unable = [each.label for each in shown if all(each is not other for other, _ in found)]
    leads = surprisal_leads(dataset, len(codes), unable)
    if picture := dataset.format.container.picture:
        pixels, schema = picture
        found = [(subject, bits[pixels]) for subject, bits in found]
        images = codes.flatten(1)[:, pixels].double().numpy()
        panels, top = figures.surprisal_maps(found, schema, images)
        return PageSection(leads, panels, bar=(figures.colour_bar(), "0", f"{top:.2f} bits"))
    return PageSection(leads, plots=[("", figures.surprisal_bars(found, dataset.format.names))])


def surprisal_leads(dataset: Dataset, rows: int, unable: list[str]) -> list[str]:
    """The sentences before the pictures of surprisal."""
    leads = [
        f"Mean of −log2 p(x_i | earlier variables) over {rows:,} test rows: the bits that each variable costs "
        "once those before it in the model's order are known. Another order shares the same sum out differently."
    ]
    if unable:
        leads.append(f"Left out, for they do not factorise: {', '.join(unable)}.")
    if bool((dataset.test.log_within != 0).any()):
        leads.append(
            "Counted is which code a value falls into; its place inside the code costs all models the same."
        )
    if dataset.format.container.picture is None and dataset.schema.size > figures.MAX_BARS:
        leads.append(
            f"Shown are the {figures.MAX_BARS} of {dataset.schema.size:,} variables with most bits."
        )
    return leads


@dataclass(frozen=True)
class ElboSection:
    """The parts of each ELBO: a row for each part, its name, its meaning, and the number of each model."""

    models: list[str]
    rows: list[tuple[str, str, list[str]]]
    part: PageSection


def elbo_section(shown: list[Subject], dataset: Dataset | None) -> ElboSection | None:
    """The ELBO of every model with latent variables, taken apart; None where there is none, or no data."""
    if dataset is None:
        return None
    found = [(subject, parts) for subject in shown if (parts := _elbo_of(subject, dataset))]
    if not found:
        return None
    each = [parts.parts() for _, parts in found]
    lines = zip(*each, strict=True)
    rows = [(line[0][0], line[0][2], [number for _, number, _ in line]) for line in lines]
    lead = (
        f"Over the first {found[0][1].rows:,} test rows, nats per row ± standard error. The ELBO misses log p by what q gets "
        "wrong; the part of that which an own q for each row would save is the amortisation gap, the rest is the form of q."
    )
    plots = [("Bounds by draws of the latents", figures.bounds_plot(found))]
    return ElboSection(
        [subject.label for subject, _ in found], rows, PageSection([lead], plots=plots)
    )


def _elbo_of(subject: Subject, dataset: Dataset) -> ElboParts | None:
    model = subject.run.model
    if not isinstance(model, Variational):
        return None
    events = leave_out(subject.run.format, dataset.test, model.context)
    rows = max(MIN_ELBO_ROWS, min(MAX_ELBO_ROWS, MAX_ELBO_NUMBERS // sum(model.schema.codes)))
    return elbo_parts(model, events, generator_for(device_of(model), Stream.ELBO_PARTS), rows)


def codebook_section(shown: list[Subject], dataset: Dataset | None) -> list[str]:
    """The use of each learned codebook by test rows."""
    if dataset is None:
        return []
    found = [(subject, subject.run.model) for subject in shown]
    each = [
        (subject, codebook_use(model, dataset.test))
        for subject, model in found
        if isinstance(model, Quantiser)
    ]
    return [f"{subject.label}: {told}." for subject, told in each]
