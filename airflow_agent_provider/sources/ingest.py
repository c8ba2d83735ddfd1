"""
Any data as a bounded summary for a prompt: the one door.

``ingest`` opens what has to be opened (a path, a source) and leaves the rest to the
pure room below (:mod:`airflow_agent_provider.summary`). A source is measured where its
data is: one statement for the statistics, another for a few rows. Of columns declared
sensitive nothing but the name and the type leaves the engine.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from airflow_agent_provider.exceptions import SourceNotFound, SourceUnavailable
from airflow_agent_provider.sources.files import Files
from airflow_agent_provider.sources.source import Source
from airflow_agent_provider.summary.avro import summarise_container
from airflow_agent_provider.summary.codec import Codec
from airflow_agent_provider.summary.intake import summarise
from airflow_agent_provider.summary.summary import Bounds, Summary

DEFAULT = Bounds()
AVRO = ".avro"


def ingest(
    data: Any,
    *,
    codec: Codec | None = None,
    sensitive: Collection[str] = (),
    bounds: Bounds = DEFAULT,
    label: str = "",
) -> Summary:
    """
    Turn data into a summary: fields with types and statistics, a few rows, never the whole.

    :param data: text, an object or list as JSON has them, any iterable of rows, a pandas
        DataFrame, Avro or Protobuf bytes, an iterable of Kafka messages, a path (``Path``; text
        is text) or a source such as ``Files`` or ``Table``.
    :param codec: how bytes are read, also those of Kafka values: ``Json()``, ``Text()``,
        ``Avro(schema)``, ``Protobuf(message)``. Avro object containers need none; Kafka values are
        JSON by default.
    :param sensitive: fields whose values are neither shown nor counted; ``email`` anywhere, or
        ``customer.email``.
    :param bounds: how much is looked at and shown.
    :param label: what people call the data.
    :raises DataError: when the data cannot be read; names no value.
    :raises ConfigurationError: when parameters do not fit, or a library is missing.
    :raises SourceUnavailable: when a source does not answer.
    """
    if isinstance(data, os.PathLike):
        path = os.fsdecode(data)
        if path.lower().endswith(AVRO):
            return _avro_file(path, bounds, sensitive, label)
        data = Files(path)
    if isinstance(data, Source):
        from airflow_agent_provider.sources.batch_summary import summarise_batch

        with data.open() as batch:
            return summarise_batch(batch, type(data).__name__.lower(), bounds, sensitive, label or data.label)
    return summarise(data, codec, bounds, sensitive, label)


def _avro_file(path: str, bounds: Bounds, sensitive: Collection[str], label: str) -> Summary:
    try:
        with Path(path).open("rb") as file:
            return summarise_container(file, bounds, sensitive, label or path)
    except (FileNotFoundError, IsADirectoryError):
        raise SourceNotFound(
            f"{path}: no such file on this worker; check the path, and whether the load has run"
        ) from None
    except OSError as error:
        raise SourceUnavailable(f"{path}: cannot be read ({error.strerror})") from None
