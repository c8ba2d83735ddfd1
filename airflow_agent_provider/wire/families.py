"""
What model families accept, known by their names.

The same protocol, spoken to a newer model of the same vendor, may refuse a
parameter that the older one wanted. Such a refusal is a 400 for every call, so
the defaults here ask for the least: a vendor's *older* families are listed as
accepting a parameter, and a name that is not listed is taken for a newer one.
Models of nobody's list (vLLM, Ollama, llama.cpp) take everything.

- OpenAI: o-series and gpt-5 on refuse ``max_tokens`` and any temperature but 1
  (https://platform.openai.com/docs/guides/reasoning).
- Anthropic: Claude after Opus 4.6 refuses sampling parameters
  (https://platform.claude.com/docs/en/about-claude/models/migration-guide).
"""

from __future__ import annotations

import re

OPENAI = re.compile(r"(?:^|[/:])(?:o\d|gpt-\d|chatgpt-)")
OPENAI_WITH_TEMPERATURE = re.compile(r"(?:^|[/:])(?:gpt-3|gpt-4|chatgpt-4)")
CLAUDE = re.compile(r"claude-")
CLAUDE_WITH_TEMPERATURE = re.compile(
    r"claude-(?:[23]|instant|(?:opus|sonnet|haiku)-4(?:[-.@][0-6])?(?:[-.@]?\d{8})?(?![-.]?\d))"
)


def accepts_temperature(model: str) -> bool:
    """Say whether this model takes a temperature other than its default."""
    if OPENAI.search(model):
        return OPENAI_WITH_TEMPERATURE.search(model) is not None
    if CLAUDE.search(model):
        return CLAUDE_WITH_TEMPERATURE.search(model) is not None
    return True


def max_tokens_field(model: str, base_url: str) -> str:
    """
    Name the chat-completions field that bounds the answer.

    OpenAI's own servers take the new name for every model; most others know only
    the old one, also when they pass a new OpenAI model on.
    """
    newer = OPENAI.search(model) is not None and not accepts_temperature(model)
    at_openai = "//api.openai.com" in base_url
    return "max_completion_tokens" if newer or at_openai else "max_tokens"
