"""
What an agent remembers, bounded in bytes and in tokens.

A :class:`Memory` is a value: adding to it gives another one. So a flow that starts
from the same memory does the same in every replay, and one memory in a DAG file may
serve a thousand agents. None can exist above its bounds: what does not fit is evicted
when it is made.

What goes, in this order, until the rest fits:

1. results of tools are shortened, by halves, in all turns but the last, of the lowest
   priority and then the oldest first; that the tool was called, and with what, stays;
2. whole memos go, in the same order, but for the last two turns;
3. results in the last turn are shortened;
4. the last turn but one goes.

Memos of the kinds in ``PINNED`` never go and are never cut. When they and the last
turn alone pass a bound, that is an error, and says so.

Tools, schema and answer take room in a model's context too: give ``max_tokens`` what
they leave. How memos are measured, :mod:`airflow_agent_provider.core.memo` tells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from airflow_agent_provider.core.memo import Memo
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.exceptions import ConfigurationError, LimitReached

PINNED = frozenset({"system", "task", "compliance", "lineage"})
TURN = "turn"
LAST_TURNS = 2
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Memos within bounds.

    Adding takes time in proportion to what is held: meant for thousands of memos, not millions.

    :param max_memory_mb: megabytes (of 1,000,000 bytes) that the memos may take.
    :param max_tokens: tokens that they may take of the model's context; None: no bound.
    :param compact_at: share of either bound from which on the oldest memos are replaced by a
        summary, which costs a model call (:mod:`airflow_agent_provider.patterns.compact`);
        None: never, they are evicted.
    :param memos: what is remembered, the oldest first.
    :param forgotten: memos that were evicted so far; counted here, not given.
    :raises ConfigurationError: when a bound is not positive.
    :raises LimitReached: when what may not be forgotten passes a bound alone.
    """

    max_memory_mb: float = 64.0
    max_tokens: int | None = None
    compact_at: float | None = None
    memos: tuple[Memo, ...] = ()
    forgotten: int = 0

    def __post_init__(self) -> None:
        for name in ("max_memory_mb", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"Memory({name}={value!r}): must be greater than 0")
        if self.compact_at is not None and not 0 < self.compact_at <= 1:
            raise ConfigurationError(f"Memory(compact_at={self.compact_at!r}): must be a share in (0, 1]")
        if self._packing(1.0).fits:
            return
        for last_turns in range(LAST_TURNS, 0, -1):
            packing = self._packing(1.0)
            packing.make_fit(last_turns)
            if packing.fits:
                object.__setattr__(self, "memos", packing.kept)
                object.__setattr__(self, "forgotten", self.forgotten + packing.dropped)
                return
        raise LimitReached(self._too_full(packing))

    def adding(self, *memos: Memo) -> Memory:
        """
        Give a memory that holds these too, and less of the rest where room is short.

        :raises LimitReached: when what may not be forgotten passes a bound alone.
        """
        return replace(self, memos=(*self.memos, *memos))

    @property
    def messages(self) -> tuple[Message, ...]:
        """What a model is sent: the system's text first, then everything by age."""
        ordered = sorted(self.memos, key=lambda one: one.kind != "system")
        return tuple(message for one in ordered for message in one.messages)

    @property
    def bytes(self) -> int:
        """What the memos take of the process's memory."""
        return sum(one.bytes for one in self.memos)

    @property
    def tokens(self) -> int:
        """What the memos take of a model's context, estimated."""
        return sum(one.tokens for one in self.memos)

    @property
    def strained(self) -> bool:
        """Whether it is fuller than ``compact_at``."""
        return self.compact_at is not None and not self._packing(self.compact_at).fits

    def oldest(self) -> tuple[Memo, ...]:
        """Give the oldest memos that may go and without which it is half as full as ``compact_at``."""
        packing = self._packing((self.compact_at or 1.0) / 2)
        packing.drop(packing.forgettable(LAST_TURNS))
        held = {id(one) for one in packing.kept}
        return tuple(one for one in self.memos if id(one) not in held)

    def replacing(self, old: Collection[Memo], new: Memo) -> Memory:
        """Give a memory with one memo in place of these, where the first of them was."""
        gone = {id(one) for one in old}
        at = next(place for place, one in enumerate(self.memos) if id(one) in gone)
        behind = (one for one in self.memos[at:] if id(one) not in gone)
        return replace(self, memos=(*self.memos[:at], new, *behind))

    def relieved(self) -> Memory:
        """Give a memory filled to ``compact_at`` at most, by eviction; as near to it as that comes."""
        packing = self._packing(self.compact_at or 1.0)
        packing.evict(LAST_TURNS)
        return replace(self, memos=packing.kept, forgotten=self.forgotten + packing.dropped)

    def _packing(self, share: float) -> _Packing:
        max_tokens = None if self.max_tokens is None else share * self.max_tokens
        return _Packing(self.memos, share * self.max_memory_mb * MB, max_tokens)

    def _too_full(self, packing: _Packing) -> str:
        kinds = ", ".join(sorted({one.kind for one in packing.kept}))
        return (
            f"memory: what may not be forgotten ({kinds}) takes {packing.bytes / MB:.3f} MB and "
            f"{packing.tokens} tokens; the bounds are max_memory_mb={self.max_memory_mb:g} and "
            f"max_tokens={self.max_tokens}. Raise them, or shorten the system text, the task or the notes"
        )


class _Packing:
    """Memos on their way to fitting, by place; keeps count, so that evicting many takes one pass."""

    def __init__(self, memos: Sequence[Memo], max_bytes: float, max_tokens: float | None) -> None:
        self._memos = dict(enumerate(memos))
        self._max_bytes, self._max_tokens = max_bytes, max_tokens
        self.bytes = sum(one.bytes for one in memos)
        self.tokens = sum(one.tokens for one in memos)
        self.dropped = 0

    @property
    def fits(self) -> bool:
        return self.bytes <= self._max_bytes and (self._max_tokens is None or self.tokens <= self._max_tokens)

    @property
    def kept(self) -> tuple[Memo, ...]:
        return tuple(self._memos.values())

    def make_fit(self, last_turns: int) -> None:
        """Do all that may be done for the rest to fit."""
        self.evict(last_turns)
        for place in self._last_turns(1):
            self._shorten(place)

    def evict(self, last_turns: int) -> None:
        """Shorten and then drop what may go, as far as need be."""
        for place in self._by_priority(self.forgettable(1)):
            self._shorten(place)
        self.drop(self._by_priority(self.forgettable(last_turns)))

    def drop(self, places: Sequence[int]) -> None:
        """Drop memos, in this order, as far as need be."""
        for place in places:
            if self.fits:
                return
            gone = self._memos.pop(place)
            self.bytes -= gone.bytes
            self.tokens -= gone.tokens
            self.dropped += 1

    def forgettable(self, last_turns: int) -> list[int]:
        """Tell where memos stand that may go, the oldest first."""
        kept = self._last_turns(last_turns)
        return [at for at, one in self._memos.items() if one.kind not in PINNED and at not in kept]

    def _last_turns(self, number: int) -> list[int]:
        return [at for at, one in self._memos.items() if one.kind == TURN][-number:]

    def _by_priority(self, places: list[int]) -> list[int]:
        return sorted(places, key=lambda place: self._memos[place].priority)

    def _shorten(self, place: int) -> None:
        before = after = self._memos[place]
        max_chars = before.longest_result
        while max_chars and not self.fits:
            max_chars //= 2
            after = self._memos[place] = before.cut(max_chars)
            self.bytes += after.bytes - before.bytes
            self.tokens += after.tokens - before.tokens
            before = after
