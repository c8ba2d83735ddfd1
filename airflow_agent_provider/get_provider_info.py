"""
The provider's manifest, which Airflow reads through the package's entry point.

Discovery runs in every Airflow process, so this module imports nothing. Keys and
types follow ``provider.yaml.schema.json`` and ``provider_info.schema.json`` of
apache-airflow; a key that they do not know passes silently, which is why a test
holds the manifest against both.
"""

from __future__ import annotations

INTEGRATION = "Agent Provider"
DOCUMENTATION = "https://airflow.apache.org/docs/apache-airflow-providers/"


def get_provider_info() -> dict[str, object]:
    """Give the manifest."""
    return {
        "package-name": "airflow-agent-provider",
        "name": "Agent Provider",
        "description": "Bare-metal agents and a data quality gate as Apache Airflow operators.",
        "state": "ready",
        "lifecycle": "incubation",
        "source-date-epoch": 1795305600,
        "versions": ["0.1.0"],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": DOCUMENTATION,
                "tags": ["ai", "llm", "software"],
            }
        ],
        "operators": [
            {
                "integration-name": INTEGRATION,
                "python-modules": ["airflow_agent_provider.operators.quality"],
            }
        ],
        "hooks": [{"integration-name": INTEGRATION, "python-modules": ["airflow_agent_provider.hooks.llm"]}],
        "connection-types": [_llm_connection()],
        "cli": ["airflow_agent_provider.cli.get_cli_commands"],
        "config": {"agent_provider": _settings()},
    }


def _llm_connection() -> dict[str, object]:
    return {
        "connection-type": "llm",
        "hook-class-name": "airflow_agent_provider.hooks.llm.LLMHook",
        "hook-name": "LLM",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "schema", "port"],
            "relabeling": {"host": "Base URL", "password": "API key"},
            "placeholders": {
                "host": "https://api.openai.com/v1 (leave empty for the provider's own)",
                "password": "leave empty for a server without keys, or for AWS credentials",
                "extra": '{"headers": {"x-team": "data"}, "extra_body": {"reasoning_effort": "low"}}',
            },
        },
        "conn-fields": {
            "provider": {
                "label": "Provider",
                "description": (
                    "openai: the OpenAI API by chat completions, openai_responses: by its Responses API. "
                    "anthropic: the Anthropic API. google: the Gemini API. azure_openai: deployments of an "
                    "Azure OpenAI resource. bedrock: Amazon Bedrock. vllm, ollama, llamacpp, litellm: "
                    "servers of your own, on this machine unless the base URL says otherwise. "
                    "openai_compatible, anthropic_compatible: any other server that speaks that protocol. "
                    "route: other connections, which the fields about the route name."
                ),
                "schema": {
                    "type": "string",
                    "default": "openai",
                    "enum": [
                        "openai",
                        "openai_responses",
                        "anthropic",
                        "google",
                        "azure_openai",
                        "bedrock",
                        "vllm",
                        "ollama",
                        "llamacpp",
                        "litellm",
                        "openai_compatible",
                        "anthropic_compatible",
                        "route",
                    ],
                },
            },
            "model": {
                "label": "Model",
                "description": "As the provider names it; of Azure the deployment. Required.",
                "schema": {"type": ["string", "null"]},
            },
            "max_tokens": {
                "label": "Most tokens of an answer",
                "description": "A cap on what a call may ask for. Empty: no cap but the call's own.",
                "schema": {"type": ["integer", "null"], "minimum": 1},
            },
            "timeout_s": {
                "label": "Deadline in seconds",
                "description": "For one call in all, its retries included. Empty: 180.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "connect_timeout_s": {
                "label": "Connection time-out in seconds",
                "description": "Empty: 10.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "read_timeout_s": {
                "label": "Silence in seconds",
                "description": "How long the server may send nothing while the model thinks. Empty: 120.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "max_retries": {
                "label": "Retries",
                "description": "Further tries within the deadline after a transient failure. Empty: 2.",
                "schema": {"type": ["integer", "null"], "minimum": 0},
            },
            "input_usd_per_mtok": {
                "label": "US dollars per million input tokens",
                "description": (
                    "Empty: the price list's. State it for a contract, for a server of your own (0 when "
                    "it is free) and for a model too new for the list; under a money cap an unknown price "
                    "is refused."
                ),
                "schema": {"type": ["number", "null"], "minimum": 0},
            },
            "output_usd_per_mtok": {
                "label": "US dollars per million output tokens",
                "description": "Belongs together with the price of the input.",
                "schema": {"type": ["number", "null"], "minimum": 0},
            },
            "requests_per_minute": {
                "label": "Requests a minute",
                "description": "At most, by all workers together. Empty: no limit but the server's.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "tokens_per_minute": {
                "label": "Tokens a minute",
                "description": "At most, by all workers together, by their worst case. Empty: no limit.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "breaker_failures": {
                "label": "Failures that open the circuit",
                "description": (
                    "After so many failures in a row, by all workers together, the server is left alone. "
                    "Empty: 3."
                ),
                "schema": {"type": ["integer", "null"], "minimum": 1},
            },
            "breaker_cooldown_s": {
                "label": "Cool-down in seconds",
                "description": "How long it is left alone first; doubled while it stays down. Empty: 30.",
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "cache_ttl_s": {
                "label": "Keep replies for seconds",
                "description": (
                    "Answer the same question of temperature 0 from the ledger, where replies then lie as "
                    "they came. Empty: replies are not kept."
                ),
                "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "context_tokens": {
                "label": "Context in tokens",
                "description": (
                    "Prompt and answer together, for routes: a longer call goes elsewhere. Empty: the price "
                    "list's, where it knows the model."
                ),
                "schema": {"type": ["integer", "null"], "minimum": 1},
            },
            "supports_tools": {
                "label": "Takes tools",
                "description": "Untick it for a model that calls no tools: routes ask another.",
                "schema": {"type": ["boolean", "null"], "default": True},
            },
            "supports_schema": {
                "label": "Takes answer schemas",
                "description": "Untick it for a model that no JSON schema can bind: routes ask another.",
                "schema": {"type": ["boolean", "null"], "default": True},
            },
            "route": {
                "label": "Route",
                "description": "Provider route only: the connections to ask, e.g. cheap, strong.",
                "schema": {"type": ["string", "null"]},
            },
            "policy": {
                "label": "Policy of the route",
                "description": (
                    "failover: in the order given. cheapest: by what the call may cost. cascade: the first "
                    "answer that is good enough. threshold: the first or the last, as the call is big. "
                    "Empty: failover."
                ),
                "schema": {
                    "type": ["string", "null"],
                    "enum": ["failover", "cheapest", "cascade", "threshold", None],
                },
            },
            "threshold": {
                "label": "Threshold",
                "description": "Policy threshold only: points of complexity, or US dollars.",
                "schema": {"type": ["number", "null"], "minimum": 0},
            },
            "threshold_by": {
                "label": "Threshold by",
                "description": (
                    "Policy threshold only. complexity: the prompt's tokens, plus 250 a tool, plus 3 for "
                    "each token of the answer's schema. cost: the most that the call may cost. "
                    "Empty: complexity."
                ),
                "schema": {"type": ["string", "null"], "enum": ["complexity", "cost", None]},
            },
            "prefer": {
                "label": "Above the threshold",
                "description": (
                    "Policy threshold only. cheap_above: the first connection. strong_above: the last. "
                    "Empty: cheap_above."
                ),
                "schema": {"type": ["string", "null"], "enum": ["cheap_above", "strong_above", None]},
            },
            "min_chars": {
                "label": "Characters of an answer",
                "description": "Policy cascade only: a shorter answer is not good enough.",
                "schema": {"type": ["integer", "null"], "minimum": 0},
            },
            "validator": {
                "label": "Validator",
                "description": (
                    "Policy cascade only: dotted name of a function that is called with call and reply and "
                    "says whether the answer is good enough."
                ),
                "schema": {"type": ["string", "null"]},
            },
            "region": {
                "label": "Region for policies",
                "description": "Where the data goes, in the words of your policies, e.g. eu, us or local.",
                "schema": {"type": ["string", "null"]},
            },
            "aws_conn_id": {
                "label": "AWS connection",
                "description": (
                    "Bedrock without an API key: whose credentials sign the requests. Empty: aws_default."
                ),
                "schema": {"type": ["string", "null"]},
            },
            "region_name": {
                "label": "AWS region",
                "description": "Bedrock only, e.g. eu-central-1. Empty: that of the AWS connection.",
                "schema": {"type": ["string", "null"]},
            },
            "api_version": {
                "label": "Azure API version",
                "description": "Azure's classic API only, e.g. 2024-10-21. Empty: its v1 API.",
                "schema": {"type": ["string", "null"]},
            },
            "allow_http": {
                "label": "Allow plain http",
                "description": "Send the key unencrypted to another machine, in a network that you trust.",
                "schema": {"type": ["boolean", "null"], "default": False},
            },
        },
    }


def _settings() -> dict[str, object]:
    return {
        "description": "Settings of the agent provider.",
        "options": {
            "ledger_conn_id": {
                "description": (
                    "Connection of the Postgres database that keeps budgets and the history of batches. "
                    "Empty: a SQLite file on this machine."
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": "ledger_db",
                "default": "",
            },
            "ledger_path": {
                "description": (
                    "The SQLite file, used when ledger_conn_id is empty. "
                    "Empty: agent_provider/ledger.sqlite in AIRFLOW_HOME."
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": "/opt/airflow/agent_provider/ledger.sqlite",
                "default": "",
            },
        },
    }
