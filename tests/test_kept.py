"""What earlier versions wrote still opens, and says the same; or one line names the version that can."""

import json
from pathlib import Path

import numpy as np
import pytest

import plausibly
from plausibly.capabilities import BoundedModel, DensityModel
from plausibly.compression import rows
from plausibly.errors import UserError

KEPT = Path(__file__).parent / "kept"
RUNS = [(folder, name) for folder in KEPT.iterdir() for name in json.loads((folder / "expected.json").read_text())]


def rows_of(folder, name):
    if name.endswith(".npz"):
        return np.load(folder / name)["rows"]
    return str(folder / name) if name.endswith(".csv") else f"{name}:test"


@pytest.mark.parametrize(("folder", "name"), RUNS, ids=lambda each: getattr(each, "name", each))
def test_a_kept_run_opens_and_scores_as_it_did(folder, name):
    run, said = plausibly.open(folder / name), json.loads((folder / "expected.json").read_text())[name]
    if not isinstance(run.model, BoundedModel):
        assert said["nats"] is None and (not run.draws or len(run.sample(3)) == 3)
        return
    exact = isinstance(run.model, DensityModel)
    found = run.log_prob(rows_of(folder, said["rows"]))[: len(said["nats"])].numpy()
    # a bound that draws latents has other noise since 0.2; it is the mean of 100 weights of similar size
    assert np.abs(found - said["nats"]).max() < (1e-5 if exact else 0.5)


@pytest.mark.parametrize("name", ["people.pls", "people-embedded.pls"])
def test_a_kept_file_is_decoded_or_names_the_version_that_can(name):
    with pytest.raises(UserError, match=r"a form that plausibly 0\.1\.0 wrote"):
        rows(KEPT / "0.1.0" / name, plausibly.open(KEPT / "0.1.0" / "people-nade"))
