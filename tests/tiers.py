"""Tests in the order of their tiers, and those that share what they fit on one worker."""

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

GROUPED = ("processes", "documents", "fits")  # the tests of a file share its fixtures
TIERS = (*GROUPED, "contract", "unit")  # the last ones share nothing, and fill up what is left
# a folder, for `make long`; where it is not named, tests that are marked `real` are skipped
REAL_SETS = Path(os.environ.get("REAL_SETS", os.devnull)).absolute()


def folder_of(nodeid):
    return nodeid.partition("::")[0].split("/")[-2]


class FilesFirst(LoadScopeScheduling):
    """A file of fitted models goes to one worker as a whole; all other tests go one by one."""

    def _split_scope(self, nodeid):
        return nodeid.partition("::")[0] if folder_of(nodeid) in GROUPED else nodeid


def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return FilesFirst(config, log)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: TIERS.index(folder_of(item.nodeid)))
    for item in items:
        if item.get_closest_marker("real") and not REAL_SETS.is_dir():
            item.add_marker(pytest.mark.skip("REAL_SETS names no folder of real data sets"))
