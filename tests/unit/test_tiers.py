"""Tests that share what they fit are on one worker, and begin; tests of real data say where they are not shown."""

import os

import pytest

WHO = """
    import os, time
    import pytest

    @pytest.mark.parametrize("k", range(6))
    def test_who(k):
        with open(f"{os.environ['WHO']}/{os.path.basename(__file__)}", "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(0.3 * ("contract" in __file__))

    @pytest.mark.real
    def test_real():
        raise AssertionError("no real data are here")
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_file_of_fits_is_for_one_worker_and_the_rest_for_both(pytester, monkeypatch, workers):
    monkeypatch.setenv("WHO", str(pytester.path))
    monkeypatch.delenv("REAL_SETS", raising=False)
    for folder in ("contract", "fits"):
        pytester.makepyfile(**{f"{folder}/test_who_{folder}": WHO})
    pytester.makeini("[pytest]\nmarkers = real")
    found = pytester.runpytest_inprocess("-v", "-rs", "-p", "tiers", "-n", workers)
    found.assert_outcomes(passed=12, skipped=2)
    assert any("REAL_SETS names no folder" in line for line in found.outlines)
    fits, contract = (
        (pytester.path / f"test_who_{each}.py").read_text().split() for each in ("fits", "contract")
    )
    assert len({*fits}) == 1 and len({*contract}) == max(1, int(workers))
    if workers == "0":
        told = [line for line in found.outlines if "::test_who" in line]
        assert [line.split("/")[0] for line in told] == 6 * ["fits"] + 6 * ["contract"]
        assert {*fits} == {str(os.getpid())}
