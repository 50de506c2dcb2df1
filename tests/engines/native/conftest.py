"""What the tests of the native engine share."""

from __future__ import annotations

import pytest

from movinet_lite.engines.native.target import Target, host_target


@pytest.fixture(scope="module")
def target() -> Target:
    """What this machine runs."""
    found = host_target()
    if found is None:
        pytest.skip("the native engine cannot run here")
    return found
