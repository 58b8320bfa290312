"""The part of the page that shows samples beside real rows."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup
from torch import Tensor

from plausibly.capabilities import Model
from plausibly.data.dataset import Dataset
from plausibly.report import samples, scales, tables
from plausibly.report.sections import NO_DATA, NO_DISTRIBUTION, NO_MODEL, PageSection, format_of
from plausibly.report.subjects import Subject
from plausibly.report.wide_tables import choose_columns, keep_columns

Pair = tuple[int, int, float]  # two columns, and how remarkable they are together


def samples_section(shown: list[Subject], dataset: Dataset | None) -> PageSection:
    """Images of every model, or the columns of the best one, beside real rows."""
    format = format_of(shown, dataset)
    if format is None or not shown:
        return PageSection(missing=NO_MODEL)
    if picture := format.container.picture:
        return PageSection([_images_lead(dataset)], samples.image_grids(shown, dataset, *picture))
    if dataset is None:
        return PageSection(missing=NO_DATA)
    drawing = [subject for subject in shown if isinstance(subject.run.model, Model)]
    part = _columns(drawing[0], dataset) if drawing else PageSection(missing=NO_DISTRIBUTION)
    apart = [subject for subject in shown if not isinstance(subject.run.model, Model)]
    part.plots += [plot for subject in apart for plot in _noise_plots(subject, dataset)]
    return part


def _noise_plots(subject: Subject, dataset: Dataset) -> list[tuple[str, Markup]]:
    """Column by column, what a model without a distribution decodes from N(0, I)."""
    codes = samples.decoded_noise_of(subject, samples.MAX_SAMPLES, dataset)
    if codes is None:
        return []
    decoded = dataset.format.plain_events(scales.draw_values(dataset.format, codes))
    dataset = dataset.plain()
    real = scales.make_plotted_rows(dataset.format, samples.real_events(dataset)[0])
    made = scales.make_plotted_rows(dataset.format, decoded)
    train = dataset.schema.event_codes(dataset.shown.codes).numpy()
    chosen = samples.worst_marginals(scales.scales(dataset.format, (real, made), train), real, made)
    return [
        (
            f"{subject.label} {samples.NO_SAMPLES}",
            samples.marginal_plot(chosen, real, made, subject),
        )
    ]


def _images_lead(dataset: Dataset | None) -> str:
    without = "and without real ones, since this page was made without the data"
    return f"Draws as they came, none chosen, {'beside held-out rows' if dataset else without}."


def _columns(subject: Subject, dataset: Dataset) -> PageSection:
    """Marginals, and the pairs that depend on each other most."""
    events, word = samples.real_events(dataset)
    codes, columns = draw_subject(subject), dataset.schema.size
    looked_at = choose_columns(dataset, events.codes, codes)
    if len(looked_at) < columns:
        dataset, codes = keep_columns(dataset, looked_at), codes[:, looked_at]
        events, word = samples.real_events(dataset)
    made = dataset.format.plain_events(scales.draw_values(dataset.format, codes))
    events, dataset = dataset.format.plain_events(events), dataset.plain()
    real, fake = (
        scales.make_plotted_rows(dataset.format, events),
        scales.make_plotted_rows(dataset.format, made),
    )
    train = dataset.schema.event_codes(dataset.shown.codes).numpy()
    all_scales = scales.scales(dataset.format, (real, fake), train)
    chosen = samples.worst_marginals(all_scales, real, fake)
    plots = [("Column by column", samples.marginal_plot(chosen, real, fake, subject))]
    apart, matrix = tables.compare_pairs(dataset, events, made, subject)
    for title, pairs in telling_pairs(apart, samples.dependent_pairs(train, all_scales)).items():
        plots.append((title, samples.pair_plot(pairs, all_scales, real, fake, subject)))
    few = f" (the {len(dataset.test):,} test rows are too few to draw)"
    beside = f"{len(real):,} real {word}{'' if word == 'test rows' else few}"
    drawn = f"{len(fake):,} samples of {subject.label}"
    leads = list(columns_leads(beside, drawn, len(chosen), len(all_scales), columns))
    return PageSection(leads, plots=plots + matrix)


def draw_subject(subject: Subject) -> Tensor:
    """Codes of samples of a model that has a distribution."""
    model = subject.run.model
    assert isinstance(model, Model)
    return samples.draw_codes(model, samples.MAX_SAMPLES, subject.row.sampled)


def columns_leads(
    beside: str, drawn: str, chosen: int, looked_at: int, columns: int
) -> Iterator[str]:
    """The sentences before the marginals of some of the columns, of which not all are looked at."""
    yield (
        f"Gray: {beside}. Colour: {drawn}. The number is the "
        "share of rows that would have to move for the two to agree, chance included; the outermost bins are open."
    )
    if chosen < columns:
        some = f"{chosen} of {columns:,} columns"
        yield f"Shown are the {some} where the two differ most, worst first."
    if looked_at < columns:
        yield (
            f"They, and pairs, are of the {looked_at:,} columns whose shares of codes differ most; "
            "the others are left out here."
        )


def telling_pairs(apart: list[Pair], dependent: list[Pair]) -> dict[str, list[Pair]]:
    """Pairs of columns under what is remarkable about them, none of them twice."""
    known = [pair[:2] for pair in apart]
    found = {
        "The pairs of columns that differ most, beyond chance": apart,
        "The pairs of columns that tell most about each other": [
            pair for pair in dependent if pair[:2] not in known
        ],
    }
    return {title: pairs for title, pairs in found.items() if pairs}
