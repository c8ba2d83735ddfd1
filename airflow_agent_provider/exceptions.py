"""
Every error this package raises, and whether a retry can help.

::

    AgentProviderError
    ├── PermanentError            a retry cannot help: the task fails at once
    │   ├── ConfigurationError    a parameter, check or connection is wrong
    │   ├── DataError             the batch itself cannot be measured
    │   │   ├── SourceNotFound    no such table, file or directory
    │   │   ├── ColumnNotFound    a check names a column that is not there
    │   │   ├── EmptyBatch        the batch has no rows or no columns
    │   │   ├── UnreadableFile    ragged CSV, Parquet cut short, wrong encoding
    │   │   └── BatchTooLarge     measuring needs more memory than it may use
    │   ├── RequestRejected       the model's API said no (400, 401, 403, 404, 422)
    │   ├── ModelRefused          the model itself declined to answer
    │   ├── InvalidReply          an answer that does not fit what was asked
    │   ├── LimitReached          steps, calls, tokens or time ran out
    │   │   └── BudgetExceeded    the call could pass a shared cap
    │   ├── PolicyRefused         the policy does not let this data go to that connection
    │   ├── PriceUnknown          a money cap, and a model without a price
    │   ├── EndpointDisabled      a person switched the connection off
    │   └── JournalMismatch       the flow changed since its journal was written
    ├── TransientError            a retry may help: Airflow's own retries apply
    │   ├── ModelUnavailable      connection refused, 5xx, time-out, broken body
    │   │   ├── RateLimited       429; says how long to wait when the server does
    │   │   └── CircuitOpen       known to be down: not even tried
    │   └── SourceUnavailable     the database or object store did not answer
    └── ToolFailed                told to the model as data; never ends a flow

The operators turn a :class:`PermanentError` into ``AirflowFailException``, so
that no Airflow retry is burnt on it. Messages name what, where and what to do;
they never hold a key, a prompt or a value of a row.
"""

from __future__ import annotations


class AgentProviderError(Exception):
    """Base of every error raised by this package."""


class PermanentError(AgentProviderError):
    """A retry cannot help."""


class ConfigurationError(PermanentError):
    """A parameter, a check or a connection is wrong."""


class DataError(PermanentError):
    """The batch cannot be measured."""


class SourceNotFound(DataError):
    """The table, query target, file or directory does not exist."""


class ColumnNotFound(DataError):
    """A check names a column that the batch does not have."""


class EmptyBatch(DataError):
    """The batch has no rows or no columns."""


class UnreadableFile(DataError):
    """The file is not what its format says: ragged, cut short, wrongly encoded."""


class BatchTooLarge(DataError):
    """Measuring the batch needs more memory than it may use."""


class RequestRejected(PermanentError):
    """
    The model's API refused the request and would refuse it again.

    :param status: the HTTP status, which says whose fault it is: the call's (400, 422) or the
        connection's (401, 403, 404); None when there was none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ModelRefused(PermanentError):
    """The model declined to answer."""


class InvalidReply(PermanentError):
    """The answer does not fit what was asked, also after the repair round."""


class LimitReached(PermanentError):
    """Steps, calls, tokens or time ran out."""


class BudgetExceeded(LimitReached):
    """The call could pass a cap that is shared with others; nothing was spent on it."""


class PriceUnknown(PermanentError):
    """Money is capped, and nobody says what the model costs."""


class PolicyRefused(PermanentError):
    """
    The policy does not let this data go to that connection.

    :param record: the audit record of the refusal (``governance.audit.AuditRecord``).
    """

    def __init__(self, message: str, *, record: object = None) -> None:
        super().__init__(message)
        self.record = record


class EndpointDisabled(PermanentError):
    """A person switched the connection off for everybody."""


class JournalMismatch(PermanentError):
    """The flow asks for something else than its journal recorded."""


class TransientError(AgentProviderError):
    """A retry may help."""


class ModelUnavailable(TransientError):
    """
    The model's API did not give a usable answer this time.

    :param maybe_billed: whether the provider may have done the work all the same:
        it may when the request was sent and no clear refusal came back.
    """

    def __init__(self, message: str, *, maybe_billed: bool = True) -> None:
        super().__init__(message)
        self.maybe_billed = maybe_billed


class RateLimited(ModelUnavailable):
    """
    The model's API asked to slow down.

    :param retry_after_s: seconds to wait, when the server said so.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message, maybe_billed=False)
        self.retry_after_s = retry_after_s


class CircuitOpen(ModelUnavailable):
    """
    The endpoint is known to be down, and was not asked.

    :param retry_after_s: seconds until somebody may try again.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, maybe_billed=False)
        self.retry_after_s = retry_after_s


class SourceUnavailable(TransientError):
    """The database or object store did not answer."""


class ToolFailed(AgentProviderError):
    """A tool raised; the model is told, and the flow goes on."""
