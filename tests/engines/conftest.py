import pytest
from one_postgres import Hook, execute, server


@pytest.fixture(scope="session")
def postgres():
    """Give the URI of one server for the session."""
    with server() as uri:
        yield uri


@pytest.fixture
def hook(postgres):
    """Give a hook on an empty schema."""
    found = Hook(postgres)
    execute(found, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return found
