"""The ledger's databases: a SQLite file, and a real PostgreSQL through both of its drivers."""

import pytest
from ledger_stores import KINDS, SQLiteStore, postgres_store
from one_postgres import server


@pytest.fixture(scope="session")
def postgres_uri():
    """The address of a running server with an empty database."""
    with server() as uri:
        yield uri


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    """An empty place for a ledger; ``store.open()`` gives a database, as each worker has its own."""
    if request.param == "sqlite":
        yield SQLiteStore(tmp_path / "l.sqlite")
    else:
        pytest.importorskip(request.param)
        with postgres_store(request.getfixturevalue("postgres_uri"), request.param) as store:
            yield store


@pytest.fixture(params=KINDS[1:])
def postgres(request):
    """An empty schema on a real PostgreSQL."""
    pytest.importorskip(request.param)
    with postgres_store(request.getfixturevalue("postgres_uri"), request.param) as store:
        yield store
