"""
Chat completions of an Azure OpenAI resource.

The same protocol as ``wire/openai_chat.py`` behind two kinds of address; the model is
the name of a *deployment*, which its owner chose:

===========  ================================================================
API          address
===========  ================================================================
v1           ``{resource}/openai/v1/chat/completions``, the model in the body
classic      ``{resource}/openai/deployments/{model}/chat/completions``
             with a dated ``api-version``
===========  ================================================================

The key stands in a header of its own. The lists of models name what could be
deployed, not what is, so none is asked for.
Source: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from airflow_agent_provider.wire.openai_chat import OpenAIChat
from airflow_agent_provider.wire.wire import WireRequest, key_headers


@dataclass(frozen=True, slots=True)
class AzureOpenAIChat(OpenAIChat):
    """
    Chat completions of a deployment.

    :param api_version: e.g. ``2024-10-21`` for the classic API; empty for v1.
    """

    api_version: str = ""

    def path(self, model: str) -> str:
        if not self.api_version:
            return "/chat/completions"
        return f"/deployments/{quote(model, safe='')}/chat/completions?api-version={self.api_version}"

    def headers(self, key: str | None) -> dict[str, str]:
        return key_headers(key, "api-key")

    def list_models(self, *, key: str | None) -> WireRequest | None:  # noqa: ARG002 - it has no such list
        return None
