"""What only Azure does."""

import json

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.exceptions import RequestRejected
from airflow_agent_provider.wire.azure_openai import AzureOpenAIChat

ASK = CallModel((Message("user", "hi"),), max_tokens=64)
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}


@pytest.mark.parametrize(
    ("api_version", "model", "path"),
    [
        ("", "chat", "/chat/completions"),
        ("2024-10-21", "chat", "/deployments/chat/chat/completions?api-version=2024-10-21"),
        ("2024-10-21", "a/b?c", "/deployments/a%2Fb%3Fc/chat/completions?api-version=2024-10-21"),
    ],
)
def test_the_deployment_stands_in_the_body_or_in_the_path(api_version, model, path):
    """By the API; nothing in its name can change the address."""
    request = AzureOpenAIChat(api_version=api_version).encode(ASK, model=model, key="k")
    assert request.path == path
    assert json.loads(request.body)["model"] == model


@pytest.mark.parametrize("dialect", ["openai_chat", "azure_openai", "openai_responses"], indirect=True)
def test_a_filtered_prompt_is_a_refusal(dialect, response):
    """Azure answers 400 for it, whatever it is asked by; what else has that status stays an error."""
    reply = dialect.wire.decode(response(FILTERED, status=400, headers={"x-request-id": "r1"}), ASK)
    assert (reply.text, reply.stop_reason, reply.request_id) == ("", "refusal", "r1")
    for body in ({"error": {"code": "other"}}, {"error": "content_filter"}, [], b"content_filter"):
        with pytest.raises(RequestRejected):
            dialect.wire.decode(response(body, status=400), ASK)
