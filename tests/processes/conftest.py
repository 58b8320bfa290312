"""The process that forks others ends with the session, so that what it took is counted."""

import pytest
from forked import end_server


@pytest.fixture(scope="session", autouse=True)
def ended():
    yield
    end_server()
