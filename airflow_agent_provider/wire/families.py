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
- Google: Gemini 3 on takes a temperature, but below its default of 1 it may loop,
  and it refuses a tool request that comes back without its signature
  (https://ai.google.dev/gemini-api/docs/gemini-3).
"""

from __future__ import annotations

import re

OPENAI = re.compile(r"(?:^|[/:.])(?:o\d|gpt-\d|chatgpt-)")
OPENAI_WITH_TEMPERATURE = re.compile(r"(?:^|[/:.])(?:gpt-3|gpt-4|chatgpt-4)")
AZURE_WITH_TEMPERATURE = re.compile(r"gpt-?(?:3|4)")
CLAUDE = re.compile(r"claude-")
CLAUDE_WITH_TEMPERATURE = re.compile(
    r"claude-(?:[23]|instant|(?:opus|sonnet|haiku)-4(?:[-.@][0-6])?(?:[-.@]?\d{8})?(?![-.]?\d))"
)
GEMINI = re.compile(r"gemini-")
GEMINI_BEFORE_3 = re.compile(r"gemini-[12](?!\d)")


def accepts_temperature(model: str) -> bool:
    """Say whether this model takes a temperature other than its default."""
    if signs_tool_requests(model):
        return False
    if OPENAI.search(model):
        return OPENAI_WITH_TEMPERATURE.search(model) is not None
    if CLAUDE.search(model):
        return CLAUDE_WITH_TEMPERATURE.search(model) is not None
    return True


def deployment_accepts_temperature(deployment: str) -> bool:
    """Say the same of an Azure deployment, whose name is its owner's choice and may tell nothing."""
    return AZURE_WITH_TEMPERATURE.search(deployment) is not None


def signs_tool_requests(model: str) -> bool:
    """Say whether this is a Gemini that wants the signatures of its tool requests back."""
    return GEMINI.search(model) is not None and GEMINI_BEFORE_3.search(model) is None


def max_tokens_field(model: str, base_url: str) -> str:
    """
    Name the chat-completions field that bounds the answer.

    OpenAI's own servers take the new name for every model; most others know only
    the old one, also when they pass a new OpenAI model on.
    """
    newer = OPENAI.search(model) is not None and not accepts_temperature(model)
    at_openai = "//api.openai.com" in base_url
    return "max_completion_tokens" if newer or at_openai else "max_tokens"
