"""The seconds of a run of tests are printed, by test and by folder, and too many of them fail it."""

import allowance
import pytest

SPINS = """
    import os, time

    def spin(seconds):
        began = time.process_time()
        while time.process_time() - began < seconds:
            pass

    def test_quick():
        spin(0)

    def test_slow():
        spin(0.3)

    def test_slow_child():
        child = os.fork()
        if not child:
            spin(0.6)
            os._exit(0)
        os.waitpid(child, 0)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("allowed", "status"), [(1e6, 0), (0.01, 1)])
def test_a_run_that_takes_twice_its_allowance_fails(
    pytester, monkeypatch, workers, allowed, status
):
    monkeypatch.setattr(allowance, "ALLOWED_SECONDS", allowed)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makepyfile(test_spins=SPINS)
    found = pytester.runpytest_inprocess("-p", "allowance", "-n", workers)
    assert found.ret == status
    told = [line.split() for line in found.outlines]
    tests = {words[1].split("::")[-1]: float(words[0]) for words in told if "::" in str(words[1:2])}
    assert list(tests) == ["test_slow_child", "test_slow", "test_quick"]
    assert tests["test_slow_child"] > 0.45 > tests["test_slow"] > 0.15 > tests["test_quick"]
    assert any("in all" in line for line in found.outlines)
    assert any("more than twice" in line for line in found.outlines) is bool(status)
