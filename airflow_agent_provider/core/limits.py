"""
How far a flow may go, and how far it went.

The driver counts before every effect, so that a limit of five calls means that
the sixth is never made. Counts come from the journal on a resumed run: a crash
does not refill them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.exceptions import ConfigurationError, LimitReached


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Bounds of one flow, nested flows included.

    :param max_model_calls: model calls at most.
    :param max_tool_calls: tool calls at most.
    :param max_tokens: input and output tokens at most; checked before each call
        against what was used, so the last call may pass it.
    :param timeout_s: seconds of wall-clock time at most, per attempt.
    :raises ConfigurationError: when a bound is not positive.
    """

    max_model_calls: int = 20
    max_tool_calls: int = 40
    max_tokens: int = 200_000
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for bound in fields(self):
            value = getattr(self, bound.name)
            if not value > 0:
                raise ConfigurationError(f"Limits({bound.name}={value!r}): must be greater than 0")


@dataclass(slots=True)
class Spent:
    """What a flow has used so far; the one mutable count, owned by the driver."""

    model_calls: int = 0
    tool_calls: int = 0
    usage: Usage = field(default_factory=Usage)

    def admit_model_call(self, limits: Limits) -> None:
        """
        Count a model call that is about to be made.

        :raises LimitReached: when it would be one too many.
        """
        if self.model_calls >= limits.max_model_calls:
            raise LimitReached(f"max_model_calls={limits.max_model_calls} reached")
        if self.usage.total_tokens >= limits.max_tokens:
            raise LimitReached(
                f"max_tokens={limits.max_tokens} reached: {self.usage.total_tokens} tokens used "
                f"in {self.model_calls} calls"
            )
        self.model_calls += 1

    def admit_tool_call(self, limits: Limits) -> None:
        """
        Count a tool call that is about to be made.

        :raises LimitReached: when it would be one too many.
        """
        if self.tool_calls >= limits.max_tool_calls:
            raise LimitReached(f"max_tool_calls={limits.max_tool_calls} reached")
        self.tool_calls += 1
