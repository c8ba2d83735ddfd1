"""Batches made of Python lists, through Parquet."""

import contextlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_agent_provider.engines.duckdb import open_files


@pytest.fixture
def batch_of(tmp_path):
    """Give a function that opens a batch of columns: ``batch_of(a=[1, None], b=["x", "y"])``."""
    with contextlib.ExitStack() as opened:

        def make(table=None, **columns):
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
            pq.write_table(pa.table(columns if table is None else table), path)
            return opened.enter_context(open_files([str(path)], "parquet", label="the batch"))

        yield make
