"""Processor seconds of every test, those of its children among them; a run that takes twice its allowance fails."""

import os
from collections import Counter

import pytest

# of processor time in `make test`, of two quiet cores: ten minutes, and for what came later half a minute each
# (one format, readers, tables, relations, first hour, images) and a minute and a half for the service
ALLOWED_SECONDS = 2 * (600 + 6 * 30 + 90)
SLOWEST = 20  # tests that are named


def own_seconds():
    times = os.times()
    return times.user + times.system


def processor_seconds():
    """Those of this process and of every child that has ended."""
    times = os.times()
    return own_seconds() + times.children_user + times.children_system


class Meter:
    """Seconds of each test of this process, its fixtures among them; workers hand theirs to the process that prints."""

    def __init__(self):
        self.seconds = Counter()
        self.whole = 0.0
        self.workers = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        began = processor_seconds()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] += processor_seconds() - began

    def pytest_sessionfinish(self, session):
        self.whole += own_seconds() if self.workers else processor_seconds()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["seconds"] = (dict(self.seconds), self.whole)
        elif self.is_too_slow() and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        """A worker that crashed has nothing to tell."""
        seconds, whole = getattr(node, "workeroutput", {}).get("seconds", ({}, 0.0))
        self.seconds.update(seconds)
        self.whole += whole
        self.workers += 1

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("processor seconds")
        for test, seconds in self.seconds.most_common(SLOWEST):
            terminalreporter.line(f"{seconds:8.2f} {test}")
        for folder, seconds in self.by_folder().most_common():
            terminalreporter.line(f"{seconds:8.0f} {folder}")
        terminalreporter.line(f"{self.whole:8.0f} in all, with imports and collection")
        if self.is_too_slow():
            terminalreporter.line(
                f"more than twice the {ALLOWED_SECONDS} s that a run may take", red=True
            )

    def is_too_slow(self):
        return self.whole > 2 * ALLOWED_SECONDS

    def by_folder(self):
        found = Counter()
        for test, seconds in self.seconds.items():
            found[test.partition("::")[0].rpartition("/")[0]] += seconds
        return found


def pytest_configure(config):
    config.pluginmanager.register(Meter(), "processor seconds")
