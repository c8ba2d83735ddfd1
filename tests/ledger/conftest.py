"""A real PostgreSQL for the ledger, stopped when the session ends."""

import pytest
from one_postgres import server


@pytest.fixture(scope="session")
def postgres_uri():
    """The address of a running server with an empty database."""
    with server() as uri:
        yield uri
