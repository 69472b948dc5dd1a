"""A small run that nothing disturbed, to compare with."""

import killing
import pytest


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    return killing.undisturbed(tmp_path_factory.mktemp("undisturbed"))
