"""The wires' dialects as fixtures."""

import pytest
from dialects import DIALECTS, response


@pytest.fixture
def dialects():
    """All of them, by name."""
    return DIALECTS


@pytest.fixture(params=DIALECTS)
def dialect(request):
    """Each wire in turn."""
    return DIALECTS[request.param]


@pytest.fixture(name="response")
def make_response():
    """Make a ``WireResponse``."""
    return response
