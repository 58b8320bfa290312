"""What is shown of the ELBO's parts: by `evaluate`, in JSON, and in the report."""

import json

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.cli.progress import RowMeter
from plausibly.errors import UserError

SMALL = {"latents": 2, "network": "mlp", "network.hidden": 8}

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A model with latent variables and one without, of the same rows."""
    folder = tmp_path_factory.mktemp("runs")
    for name, set_ in (("vae", SMALL), ("independent", {})):
        plausibly.fit("toy-bits", name, out=folder / name, steps=30 if set_ else None, set=set_)
    return folder


def test_evaluate_takes_the_elbo_apart(cli, runs):
    status, out, _ = cli("evaluate", runs / "vae")
    assert status == 0 and out.startswith(">= ") and "ELBO taken apart over 500 rows" in out
    for part in (
        "reconstruction",
        "rate",
        "1,000 draws",
        "log p - ELBO",
        "amortisation gap",
        "active latents",
    ):
        assert part in out
    document = json.loads(cli("evaluate", runs / "vae", "--json")[1])["elbo"]
    assert (
        document["rows"] == 500
        and document["latents"] == 2
        and document["amortisation"]["value"] > -0.1
    )
    assert "ELBO" not in cli("evaluate", runs / "independent")[1]
    assert "elbo" not in json.loads(cli("evaluate", runs / "independent", "--json")[1])


def test_more_draws_make_the_bound_tighter(cli, runs, tmp_path):
    """Of rows that all differ: equal ones have equal noise, which a mean over few different rows keeps."""
    rows = np.random.default_rng(0).normal(size=(1500, 3)) @ [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    pd.DataFrame(rows, columns=list("abc")).to_csv(tmp_path / "rows.csv", index=False)
    run = plausibly.fit(
        tmp_path / "rows.csv", "vae", out=tmp_path / "run", steps=30, set=SMALL
    ).path
    few, some, default, many = (
        json.loads(cli("evaluate", run, "--json", *words)[1])["test"]["value"]
        for words in (["--draws", "1"], ["--draws", "100"], [], ["--draws", "1000"])
    )
    assert few < some - 0.001 and some == default and many > some - 0.005
    assert plausibly.open(run).model.draws == 100
    status, _, said = cli("evaluate", run, "--draws", "0")
    assert status == 2 and "1 to 1,000,000" in said
    status, _, said = cli("evaluate", runs / "independent", "--draws", "10")
    assert status == 2 and "independent takes none" in said


def test_rows_that_are_gone_have_no_parts(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 2, (200, 3)), columns=list("abc"))
    run = plausibly.fit(frame, "vae", out=tmp_path / "run", steps=5, set=SMALL)
    assert run.elbo() is None and run.evaluate() is not None
    assert run.elbo(frame[:40]).rows == 40
    with pytest.raises(UserError, match="give rows"):
        run.evaluate(draws=10)


def test_the_report_shows_parts_and_bounds(runs):
    page = (runs / "vae" / "report.html").read_text()
    assert (
        'id="latents"' in page
        and "lower bounds on log p by draws" in page
        and "amortisation gap" in page
    )
    assert 'id="latents"' not in (runs / "independent" / "report.html").read_text()


def test_rows_are_counted_where_it_takes_long(capsys):
    meter = RowMeter("rows")
    seconds = iter((5, 20, 25, 50))
    meter.clock = lambda: meter.began + next(seconds)
    for done in (10, 40, 50, 100):
        meter(done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "  40 of 100 rows  30 s left",
        "  100 of 100 rows  0 s left",
    ]


def test_of_rows_that_nobody_counted_no_end_is_told(capsys):
    meter = RowMeter("rows")
    meter.clock = lambda: meter.began + 20
    meter(200, 0)
    assert capsys.readouterr().err.splitlines() == ["  200 rows"]
