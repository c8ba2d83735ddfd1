"""The sources there are, and reading one from a form."""

from __future__ import annotations

import json
from typing import Any

from airflow_agent_provider.core.spec import parse
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.sources.files import Files
from airflow_agent_provider.sources.source import Source
from airflow_agent_provider.sources.sql import Query, Table

SOURCES: tuple[type[Source], ...] = (Table, Query, Files)


def parse_source(written: Any) -> Source:
    """
    Read a source as a UI form gives it.

    :param written: ``{"type": "table", "conn_id": "warehouse", "table": "flights"}``,
        the JSON text of it, or a source.
    :raises ConfigurationError: naming the part at fault and what is known.
    """
    if isinstance(written, str):
        try:
            written = json.loads(written)
        except ValueError as error:
            raise ConfigurationError(f"source: not JSON: {error}") from None
    return parse(written, SOURCES, noun="source")
