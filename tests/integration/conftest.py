"""What the tests of real runs share."""

import pytest

from tests.support import numbered_runs


@pytest.fixture(scope="session", autouse=True)
def interrupted_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder for what interrupted runs leave, so that each is made once."""
    numbered_runs.KEPT_IN[:] = [tmp_path_factory.mktemp("interrupted")]
