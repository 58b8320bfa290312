"""What earlier versions wrote still opens, and says the same; or one line names what can open it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import plausibly
from plausibly.capabilities import BoundedModel, DensityModel
from plausibly.data.loading import load_rows
from plausibly.errors import Unsupported, UserError
from plausibly.fitting.results import report_again
from plausibly.fitting.settings import Listener
from plausibly.jobs.compression import read_compressed_rows
from plausibly.jobs.provenance import processor_name
from plausibly.runs import forms
from plausibly.tasks import load_tasks

KEPT = Path(__file__).parents[1] / "kept"
VERSIONS = sorted(KEPT.iterdir())
RUNS = [
    (folder, name)
    for folder in VERSIONS
    for name in json.loads((folder / "expected.json").read_text())
]
FILES = [
    (folder, name)
    for folder in VERSIONS
    for name in json.loads((folder / "files.json").read_text())
]
FLOATS = [
    "people-nade",
    "people-chow_liu",
    "people-ensemble",
    "reals-made",
]  # runs with sums that processors round
# the settings of `make test-isa`, by which kept files of 0.1.0, written by a processor with AVX2, are decoded to the bit
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell", "NUMBA_CPU_NAME": "haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4",
}  # fmt: skip
PLAIN = {
    "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem", "NUMBA_CPU_NAME": "generic",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
}  # fmt: skip
each_run = pytest.mark.parametrize(
    ("folder", "name"), RUNS, ids=lambda each: getattr(each, "name", each)
)


def rows_of(folder, name):
    if name.endswith(".npz"):
        return np.load(folder / name)["rows"]
    return str(folder / name) if name.endswith(".csv") else f"{name}:test"


def expected(folder, name):
    return json.loads((folder / "expected.json").read_text())[name]


def nats_of(folder, name):
    said = expected(folder, name)
    return (
        plausibly.open(folder / name)
        .log_prob(rows_of(folder, said["rows"]))[: len(said["nats"])]
        .numpy()
    )


def exact_runs():
    return [
        (own, name)
        for own, name in RUNS
        if isinstance(plausibly.open(own / name).model, DensityModel)
    ]


def decoded(folder, name):
    """Whether a kept file gives its rows; a UserError names the processor."""
    said = json.loads((folder / "files.json").read_text())[name]
    try:
        found = read_compressed_rows(
            folder / name, said["run"] and plausibly.open(folder / said["run"])
        )
    except UserError as refused:
        assert (
            "cannot be decoded here" in str(refused)
            and "processor" in str(refused)
            and not said["anywhere"]
        )
        return False
    pd.testing.assert_frame_equal(found, pd.read_csv(folder / said["rows"]))
    return True


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Makes a copy of what a version wrote, in which its data are where they were."""

    def copied(folder):
        shutil.copytree(folder, tmp_path / folder.name)
        monkeypatch.chdir(tmp_path / folder.name)
        return Path()

    return copied


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda each: each.name)
def test_everything_that_is_kept_is_looked_at(folder):
    assert {path.parent.name for path in folder.glob("*/run.json")} == {
        name for own, name in RUNS if own == folder
    }
    assert {path.name for path in folder.glob("*.pls")} == {
        name for own, name in FILES if own == folder
    }


@pytest.mark.filterwarnings("ignore::plausibly.runs.fitted.BoundWarning")
@each_run
def test_a_kept_run_opens_and_scores_as_it_did(folder, name):
    run, said = plausibly.open(folder / name), expected(folder, name)
    if not isinstance(run.model, BoundedModel):
        assert said["nats"] is None and (not run.can_sample or len(run.sample(3)) == 3)
        return
    exact = isinstance(run.model, DensityModel)
    # a bound that draws latents has other noise since 0.2; it is the mean of 100 weights of similar size
    assert np.abs(nats_of(folder, name) - said["nats"]).max() < (1e-5 if exact else 0.5)


@pytest.mark.filterwarnings("ignore::plausibly.runs.fitted.BoundWarning")
@each_run
def test_an_upgraded_run_scores_to_the_bit_as_before(folder, name, copy, cli):
    here, scored = copy(folder), expected(folder, name)["nats"]
    before, weights = (
        scored and nats_of(here, name),
        (here / name / "weights.safetensors").read_bytes(),
    )
    status, said, _ = cli("upgrade", here / name)
    assert status == 0 and f"of plausibly {folder.name}" in said and said.count("\n") == 1
    record = json.loads((here / name / "run.json").read_text())
    assert record["plausibly_run"] == forms.RECORD_FORM
    assert (here / name / "weights.safetensors").read_bytes() == weights
    assert not scored or (nats_of(here, name) == before).all()
    text = (here / name / "run.json").read_text()
    assert (
        "already" in cli("upgrade", here / name)[1]
        and (here / name / "run.json").read_text() == text
    )


def test_a_run_of_a_later_version_is_left_alone_and_that_version_named(copy, cli):
    here = copy(KEPT / "0.1.0")
    record = json.loads((here / "bits-joint" / "run.json").read_text())
    record |= {"plausibly_run": forms.RECORD_FORM + 3, "versions": {"plausibly": "7.1.0"}}
    (here / "bits-joint" / "run.json").write_text(text := json.dumps(record))
    for command in ("upgrade", "evaluate", "report"):
        status, _, said = cli(command, here / "bits-joint")
        assert status == 2 and "install plausibly 7.1.0, which wrote it" in said
    assert (here / "bits-joint" / "run.json").read_text() == text
    (here / "bits-joint" / "run.json").write_text(
        json.dumps(record | {"versions": {"plausibly": "\x1b[2J"}})
    )
    assert "install a later one" in cli("upgrade", here / "bits-joint")[2]


@pytest.mark.parametrize(("folder", "name"), FILES, ids=lambda each: getattr(each, "name", each))
def test_a_kept_file_is_decoded_or_the_processor_is_named(folder, name):
    decoded(folder, name)


def test_a_file_is_decoded_by_its_run_when_that_is_upgraded(copy, cli):
    here = copy(KEPT / "0.1.0")
    plausibly.compress(plausibly.open(here / "people-nade"), here / "people.csv", "new.pls")
    for run in ("people-nade", "people-independent"):
        assert cli("upgrade", here / run)[0] == 0
    assert decoded(here, "people-tables.pls")
    assert cli("decompress", "people-nade", "new.pls", "new.csv")[0] == 0
    assert (here / "new.csv").read_bytes() == (here / "people.csv").read_bytes()


@pytest.mark.filterwarnings("ignore::plausibly.runs.fitted.BoundWarning")
@each_run
def test_a_kept_run_answers_whatever_its_model_can(folder, name, copy):
    run, said = plausibly.open(copy(folder) / name), expected(folder, name)
    some, target = load_rows(rows_of(folder, said["rows"]), run.format)[:5], run.names[0]
    asked = {
        "score": lambda: run.score(some),
        "sample": lambda: run.sample(3),
        "query": lambda: run.query(target, particles=20),
        "impute": lambda: run.impute(some),
        "encode": lambda: run.encode(some),
        "reconstruct": lambda: run.reconstruct(some),
    }
    asked |= (
        {"query": lambda: run.regress(some, target)}
        if run.is_number(target)
        else {"classify": lambda: run.classify(some, target)}
    )
    for task, ask in asked.items():
        if load_tasks()[task].word(type(run.model)):
            assert ask() is not None
        else:
            with pytest.raises(Unsupported):
                ask()


@pytest.mark.parametrize("name", ["bits-joint", "people-independent"])
def test_a_kept_run_has_its_report_again(name, copy):
    assert "<html" in report_again(copy(KEPT / "0.1.0") / name, "cpu", Listener(), None).read_text()


def tell(folder):
    """Prints what kept runs say to this process, and how it decodes the files of a folder, each named like its run."""
    found = {name: nats_of(own, name).tolist() for own, name in exact_runs()}
    files = {}
    for path in sorted(Path(folder).glob("*.pls")):
        run = plausibly.open(KEPT / "0.1.0" / path.stem)
        own = rows_of(KEPT / "0.1.0", expected(KEPT / "0.1.0", path.stem)["rows"])
        own = pd.read_csv(own) if isinstance(own, str) else own
        try:
            files[path.stem] = pd.DataFrame(read_compressed_rows(path, run)).equals(
                pd.DataFrame(own)
            )
        except UserError as refused:
            files[path.stem] = str(refused)
    print(json.dumps({"nats": found, "files": files, "kept": [decoded(*each) for each in FILES]}))


@pytest.mark.parametrize("settings", [AVX2, PLAIN], ids=["AVX2", "plain"])
def test_another_processor_gives_the_same_scores_and_the_same_rows_or_a_refusal(settings, tmp_path):
    for name in FLOATS:
        own = rows_of(KEPT / "0.1.0", expected(KEPT / "0.1.0", name)["rows"])
        plausibly.compress(plausibly.open(KEPT / "0.1.0" / name), own, tmp_path / f"{name}.pls")
    call = [
        sys.executable,
        "-c",
        "import sys, test_kept; test_kept.tell(sys.argv[1])",
        str(tmp_path),
    ]
    here = {
        "cwd": Path(__file__).parent,
        "env": os.environ | settings | {"PYTHONPATH": str(KEPT.parents[1])},
    }
    told = json.loads(
        subprocess.run(call, check=True, capture_output=True, text=True, **here).stdout
    )
    for folder, name in exact_runs():
        assert np.abs(np.array(told["nats"][name]) - expected(folder, name)["nats"]).max() < 1e-5
    for name, said in told["files"].items():
        refused = isinstance(said, str) and "cannot be decoded here" in said
        assert said is True or (refused and f"processor {processor_name()}" in said), (name, said)
    assert told["files"].keys() == set(FLOATS)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (
            b"PLSB\x03\x055.6.7 what later versions write",
            "is decoded by plausibly 5.6.7 and later; this is",
        ),
        (b"PLSB\x03\x055\x1b[2J what later versions write", "is damaged: its first bytes"),
        (b"PLSB\x02\x050.3.0 what no version writes", "is damaged: its first bytes"),
        (b"PLSB\x03", "is no file of compressed rows"),
    ],
)
def test_the_first_bytes_of_a_file_name_the_version_that_decodes_it(start, said, tmp_path):
    (tmp_path / "x.pls").write_bytes(start)
    with pytest.raises(UserError) as refused:
        read_compressed_rows(tmp_path / "x.pls", None)
    assert said in str(refused.value)


def test_compressing_says_which_versions_decode_the_file(cli, tmp_path):
    run, data = KEPT / "0.1.0" / "people-independent", KEPT / "0.1.0" / "people.csv"
    said = cli("compress", run, data, "x.pls")[1]
    assert (
        f"decoded by plausibly 0.2.0 and later, for certain on a processor like this: {processor_name()}"
        in said
    )
    assert (tmp_path / "x.pls").read_bytes().startswith(b"PLSB\x02\x050.2.0")
