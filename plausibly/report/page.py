"""The page: what is known about a board and its data, gathered for the template, written as one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from plausibly.capabilities import BoundedModel, Model, Quantiser, Variational, device_of
from plausibly.data.dataset import Dataset
from plausibly.data.events import Document
from plausibly.data.formats.format import Format
from plausibly.evaluation.intervals import with_error
from plausibly.evaluation.likelihood.codebook import codebook_use
from plausibly.evaluation.likelihood.elbo import ElboParts, elbo_parts
from plausibly.printing import visible_lines
from plausibly.report import figures, samples, scales, tables
from plausibly.report.abilities import abilities
from plausibly.report.drawing import shorten
from plausibly.report.figures import Panel
from plausibly.report.subjects import Subject, labels, subjects
from plausibly.runs.board import Board, Row
from plausibly.runs.record import ingredients
from plausibly.runs.run import Run
from plausibly.system.files import replacing
from plausibly.system.randomness import Stream, generator_for
from plausibly.system.versions import __version__

NO_DATA = "This page was made without the data, so this part is left out."
NO_DISTRIBUTION = "No model on this board has a distribution, so there are no samples."
LEADS = {"=": "", "<=": "at least ", ">=": "at most ", "~": "about "}  # of its gap to the best
NO_MODEL = "No model was fitted, so there is nothing to show here."
MAX_TEST_ROWS, MAX_NOTES, MAX_COLUMNS = 2000, 40, 500
MIN_ELBO_ROWS, MAX_ELBO_ROWS, MAX_ELBO_NUMBERS = (
    20,
    200,
    1 << 17,
)  # rows whose ELBO is taken apart, the fewer the more numbers a row takes


def write_report(path: Path, board: Board, dataset: Dataset | None) -> None:
    """Writes the page of one run or several; without `dataset` the parts that need it say so.

    UserError where the file cannot be written; nothing is left behind then.
    """
    text = page(board, dataset)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="replace")


def page(board: Board, dataset: Dataset | None) -> str:
    """The page as HTML. Whatever comes from outside is escaped by the template."""
    shown = subjects(board)
    return template().render(
        title=shorten(dataset.name if dataset else board.data or "data", 80),
        version=__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        facts=facts(shown, dataset),
        notes=notes(shown, dataset),
        headline=headline(board),
        board=board_table(board),
        board_plot=figures.board_plot(board, shown),
        bytes_plot=figures.bytes_plot(board, shown),
        training=training_part(shown),
        samples=samples_part(shown, dataset),
        surprisal=surprisal_part(shown, dataset),
        surprising=tables.surprising_rows(shown, dataset),
        latents=elbo_table(shown, dataset),
        codebooks=codebooks(shown, dataset),
        abilities=abilities(shown) if shown else None,
        columns=column_report(shown, dataset),
        no_model=NO_MODEL,
    )


@cache
def template() -> Template:
    loader = PackageLoader("plausibly.report", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_show
    )
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("page.html.j2")


def _show(value: object) -> object:
    """What the page says of a value: texts so that none turns the direction of what stands beside it."""
    return visible_lines(value) if type(value) is str else value


@dataclass
class PagePart:
    """A part of the page: sentences before its pictures, the pictures, a sentence where there are none."""

    leads: list[str] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    plots: list[tuple[str, Markup]] = field(default_factory=list)
    missing: str = ""
    bar: tuple[str, str, str] | None = None  # a colour bar, and what stands at its ends


def facts(shown: list[Subject], dataset: Dataset | None) -> list[tuple[str, str]]:
    """Rows and variables, as far as they are known."""
    kept = shown[0].run.record if shown else {}
    rows = kept.get("rows") or {}
    if dataset is not None:
        rows = dataset.rows
    found = [
        (f"{name} rows", f"{count:,}")
        for name, count in rows.items()
        if isinstance(count, int) and count
    ]
    format = format_of(shown, dataset)
    if format is not None:
        shape = format.schema.shape
        sides = f" ({' × '.join(map(str, shape))})" if len(shape) == 3 else ""
        found.append(("variables", f"{format.schema.size:,}{sides}"))
    source = dataset.source if dataset else (kept.get("data") or {}).get("source")
    fingerprint = dataset.fingerprint if dataset else (kept.get("data") or {}).get("fingerprint")
    found += [("source", shorten(source, 60))] if source else []
    return found + ([("SHA-256", f"{str(fingerprint)[:12]}…")] if fingerprint else [])


def format_of(shown: list[Subject], dataset: Dataset | None) -> Format | None:
    return dataset.format if dataset else shown[0].run.format if shown else None


def notes(shown: list[Subject], dataset: Dataset | None) -> list[str]:
    """What loading the data had to say."""
    found = dataset.notes if dataset else (shown[0].run.record.get("notes") or []) if shown else []
    cut = [shorten(note, 300) for note in found[:MAX_NOTES]]
    return cut + ([f"and {len(found) - MAX_NOTES} more notes"] if len(found) > MAX_NOTES else [])


def headline(board: Board) -> list[str]:
    """The board in words: who is best, by how much, and what that is worth."""
    best, names = board.best, labels(board)
    if best is None or best.test is None:
        return (
            ["No model on this board has a likelihood."]
            if any(row.run for row in board.rows)
            else []
        )
    least, most = ("at least ", "at most ") if best.test.sign == ">=" else ("", "")
    bits = f"{most}{best.test.bits_per_variable:.3f} bits per variable"
    first = f"{names[id(best)]} gives a test row a mean log p of {least}{best.test.value:.3f} nats ({bits})"
    mixed = [
        f"{names[id(row)]} mixes {told}."
        for row in board.rows
        if row.run and (told := ingredients(row.run.record))
    ]
    others = [(row, gap) for row in board.ranking() if row.run and (gap := board.to_best(row))]
    if not others:
        return [f"{first}.", *mixed]
    close = [names[id(row)] for row, gap in others if gap.value > -2 * gap.standard_error]
    hidden = [names[id(row)] for row, gap in others if gap.sign != "="]
    said = [f"{first}, the best of {len(others) + 1}."]
    if close:
        said.append(
            f"Within two standard errors of it, and so not told apart by these rows: {', '.join(close)}."
        )
    else:
        gap = others[0][1]
        by = LEADS[gap.sign] + with_error(-gap.value, gap.standard_error, ".3f")
        said.append(f"It leads {names[id(others[0][0])]} by {by} nats per row.")
    if hidden:
        said.append(f"Not compared as equals, since a bound is involved: {', '.join(hidden)}.")
    return said + mixed


@dataclass(frozen=True)
class BoardLine:
    """A row of the board's table; one that refused has its reason instead of numbers."""

    cells: list[str]
    refusal: str = ""
    best: bool = False
    truth: bool = False


@dataclass(frozen=True)
class BoardTable:
    headings: list[str]
    lines: list[BoardLine]
    caption: str

    @property
    def truth(self) -> bool:
        return any(line.truth for line in self.lines)


def board_table(board: Board) -> BoardTable:
    headings, cells = board.cells()
    lines = [_line(board, row, texts) for row, texts in zip(board.ranking(), cells, strict=True)]
    return BoardTable(headings, lines, board.caption())


def _line(board: Board, row: Row, texts: list[str]) -> BoardLine:
    first = [labels(board)[id(row)], *texts[1:]]
    if row.refusal:
        return BoardLine(first[:2], refusal=shorten(row.refusal, 400))
    return BoardLine(first, best=row is board.best, truth=row.run is None)


def course_of(run: Run) -> figures.Course | None:
    """The course of a run's training; None where it left no log, or that was removed."""
    log = run.path / "log.jsonl"
    return figures.read_course(log) if log.is_file() and run.find_file(log.name) else None


def training_part(shown: list[Subject]) -> PagePart:
    """The course of every training by steps; who learned by counting is named."""
    found = [(subject, course_of(subject.run)) for subject in shown]
    courses = [(subject, each) for subject, each in found if each]
    counted = ", ".join(subject.label for subject, each in found if not each)
    skipped = (
        f"Without a curve, since they learn by counting or left no log: {counted}."
        if counted
        else ""
    )
    if not courses:
        return PagePart(missing=skipped or NO_MODEL)
    comparable = [each for each in courses if isinstance(each[0].run.model, BoundedModel)]
    others = [each for each in courses if not isinstance(each[0].run.model, BoundedModel)]
    lead = (
        "Solid: loss on validation rows, −log p of their codes (for a model with a bound: of the bound). Dashed: the "
        "same on training rows. The dot marks the step whose weights were kept; a gap that grows to its right is "
        "overfitting."
    )
    plots = [("", figures.training_plot(comparable))] if comparable else []
    if others:
        plots.append(
            (
                "Losses of their own kind, to be compared with no other",
                figures.training_plot(others, "a loss of its own kind"),
            )
        )
    if games := [each for each in courses if any(each[1].health)]:
        plots.append(
            (
                "Health of the game: 0.5 is a critic that cannot tell, coverage about 0.97 is perfect",
                figures.health_plot(games),
            )
        )
    return PagePart([lead] + [skipped] * bool(skipped), plots=plots)


def samples_part(shown: list[Subject], dataset: Dataset | None) -> PagePart:
    """Images of every model, or the columns of the best one, beside real rows."""
    format = format_of(shown, dataset)
    if format is None or not shown:
        return PagePart(missing=NO_MODEL)
    if picture := format.picture():
        return PagePart([_images_lead(dataset)], samples.image_grids(shown, dataset, *picture))
    if dataset is None:
        return PagePart(missing=NO_DATA)
    drawing = [subject for subject in shown if isinstance(subject.run.model, Model)]
    part = _columns(drawing[0], dataset) if drawing else PagePart(missing=NO_DISTRIBUTION)
    apart = [subject for subject in shown if not isinstance(subject.run.model, Model)]
    part.plots += [plot for subject in apart for plot in _noise_plots(subject, dataset)]
    return part


def _noise_plots(subject: Subject, dataset: Dataset) -> list[tuple[str, Markup]]:
    """Column by column, what a model without a distribution decodes from N(0, I)."""
    codes = samples.noise_of(subject, samples.MAX_SAMPLES, dataset)
    if codes is None:
        return []
    real = scales.sheet(dataset.format, samples.real_events(dataset)[0])
    made = scales.draw_sheet(dataset.format, codes)
    train = dataset.schema.event_codes(dataset.shown.codes).numpy()
    chosen = samples.worst_marginals(scales.scales(dataset.format, (real, made), train), real, made)
    return [
        (
            f"{subject.label} {samples.NO_SAMPLES}",
            samples.marginal_plot(chosen, real, made, subject),
        )
    ]


def _images_lead(dataset: Dataset | None) -> str:
    beside = (
        "beside held-out rows"
        if dataset
        else "and without real ones, since this page was made without the data"
    )
    return f"Draws as they came, none chosen, {beside}."


def _columns(subject: Subject, dataset: Dataset) -> PagePart:
    """Marginals, and the pairs that depend on each other most."""
    events, word = samples.real_events(dataset)
    real = scales.sheet(dataset.format, events)
    model = subject.run.model
    assert isinstance(model, Model)
    made = scales.draw_values(
        dataset.format, samples.draw_codes(model, samples.MAX_SAMPLES, subject.row.sampled)
    )
    fake = scales.sheet(dataset.format, made)
    train = dataset.schema.event_codes(dataset.shown.codes).numpy()
    all_scales = scales.scales(dataset.format, (real, fake), train)
    chosen = samples.worst_marginals(all_scales, real, fake)
    few = (
        "" if word == "test rows" else f" (the {len(dataset.test):,} test rows are too few to draw)"
    )
    leads = [
        f"Gray: {len(real):,} real {word}{few}. Colour: {len(fake):,} samples of {subject.label}. The number is the "
        "share of rows that would have to move for the two to agree, chance included; the outermost bins are open."
    ]
    if len(chosen) < len(all_scales):
        some = f"{len(chosen)} of {len(all_scales):,} columns"
        leads.append(f"Shown are the {some} where the two differ most, worst first.")
    plots = [("Column by column", samples.marginal_plot(chosen, real, fake, subject))]
    apart, matrix = tables.compare_pairs(dataset, events, made, subject)
    pairs = {"The pairs of columns that differ most, beyond chance": apart}
    telling = [
        pair
        for pair in samples.dependent_pairs(train, all_scales)
        if pair[:2] not in [each[:2] for each in apart]
    ]
    pairs["The pairs of columns that tell most about each other"] = telling
    for title, found in pairs.items():
        if found:
            plots.append((title, samples.pair_plot(found, all_scales, real, fake, subject)))
    return PagePart(leads, plots=plots + matrix)


def surprisal_part(shown: list[Subject], dataset: Dataset | None) -> PagePart:
    """Where the bits go: by pixel for each model, or by column."""
    if dataset is None or not shown:
        return PagePart(missing=NO_MODEL if not shown else NO_DATA)
    codes = dataset.test.codes[:MAX_TEST_ROWS]
    found = figures.mean_surprisal(shown, codes)
    if not found:
        return PagePart(missing="None of these models factorises log p(x) over the variables.")
    lead = (
        f"Mean of −log2 p(x_i | earlier variables) over {len(codes):,} test rows: the bits that each variable costs "
        "once those before it in the model's order are known. Another order shares the same sum out differently."
    )
    unable = [subject.label for subject in shown if not any(subject is other for other, _ in found)]
    leads = [lead] + [f"Left out, for they do not factorise: {', '.join(unable)}."] * bool(unable)
    if bool((dataset.test.log_within != 0).any()):
        leads.append(
            "Counted is which code a value falls into; its place inside the code costs all models the same."
        )
    if picture := dataset.format.picture():
        pixels, schema = picture
        found = [(subject, bits[pixels]) for subject, bits in found]
        panels, top = figures.surprisal_maps(
            found, schema, codes.flatten(1)[:, pixels].double().numpy()
        )
        return PagePart(leads, panels, bar=(figures.colour_bar(), "0", f"{top:.2f} bits"))
    if dataset.schema.size > figures.MAX_BARS:
        leads.append(
            f"Shown are the {figures.MAX_BARS} of {dataset.schema.size:,} variables with most bits."
        )
    return PagePart(leads, plots=[("", figures.surprisal_bars(found, dataset.format.names))])


@dataclass(frozen=True)
class ElboTable:
    """The parts of each ELBO: a row for each part, its name, its meaning, and the number of each model."""

    models: list[str]
    rows: list[tuple[str, str, list[str]]]
    part: PagePart


def elbo_table(shown: list[Subject], dataset: Dataset | None) -> ElboTable | None:
    """The ELBO of every model with latent variables, taken apart; None where there is none, or no data."""
    if dataset is None:
        return None
    found = [(subject, parts) for subject in shown if (parts := _elbo_of(subject, dataset))]
    if not found:
        return None
    each = [parts.parts() for _, parts in found]
    rows = [
        (name, meaning, [parts[k][1] for parts in each])
        for k, (name, _, meaning) in enumerate(each[0])
    ]
    lead = (
        f"Over the first {found[0][1].rows:,} test rows, nats per row ± standard error. The ELBO misses log p by what q gets "
        "wrong; the part of that which an own q for each row would save is the amortisation gap, the rest is the form of q."
    )
    plots = [("Bounds by draws of the latents", figures.bounds_plot(found))]
    return ElboTable([subject.label for subject, _ in found], rows, PagePart([lead], plots=plots))


def _elbo_of(subject: Subject, dataset: Dataset) -> ElboParts | None:
    model = subject.run.model
    if not isinstance(model, Variational):
        return None
    events = subject.run.format.without(dataset.test, model.context)
    rows = max(MIN_ELBO_ROWS, min(MAX_ELBO_ROWS, MAX_ELBO_NUMBERS // sum(model.schema.codes)))
    return elbo_parts(model, events, generator_for(device_of(model), Stream.ELBO_PARTS), rows)


def codebooks(shown: list[Subject], dataset: Dataset | None) -> list[str]:
    """How much test rows use of each learned codebook."""
    if dataset is None:
        return []
    found = [(subject, subject.run.model) for subject in shown]
    each = [
        (subject, codebook_use(model, dataset.test))
        for subject, model in found
        if isinstance(model, Quantiser)
    ]
    return [f"{subject.label}: {told}." for subject, told in each]


@dataclass(frozen=True)
class ColumnReport:
    """The column report, and how many columns it leaves out."""

    entries: list[dict[str, str]]
    more: int


def column_report(shown: list[Subject], dataset: Dataset | None) -> ColumnReport | None:
    """What was guessed about each column; None where there are no columns."""
    format = format_of(shown, dataset)
    if format is None or len(format.schema.shape) != 1:
        return None
    entries = format.describe()
    return ColumnReport(
        [_entry(each) for each in entries[:MAX_COLUMNS]], max(len(entries) - MAX_COLUMNS, 0)
    )


def _entry(document: Document) -> dict[str, str]:
    codes = document.get("codes")
    return {
        "name": shorten(document["name"], 80),
        "kind": shorten(document["kind"]),
        "codes": f"{codes:,}" if codes else "set aside",
        "holes": f"{document['holes']:,}" if document.get("holes") else "",
        "values": _values(document),
        "guess": shorten(document.get("guess", ""), 120),
        "override": shorten(document.get("override", ""), 160),
    }


def _values(document: Document) -> str:
    """Levels, or range and resolution, or the one value."""
    said = []
    if levels := document.get("levels"):
        more = len(levels) - 8 + document.get("rare_levels", 0)
        some = ", ".join(shorten(level) for level in levels[:8])
        said.append(some + (f" and {more:,} more" if more > 0 else ""))
    if document.get("range"):
        said.append(" to ".join(shorten(end) for end in document["range"]))
    if document.get("resolution"):
        said.append(f"in steps of {shorten(document['resolution'])}")
    if "value" in document:
        said.append(
            "nothing" if document["value"] is None else f"always {shorten(document['value'])}"
        )
    return ", ".join(said) + (", a density" if document.get("density") else "")
