"""The manifest against Airflow's schemas, against the package and against what the form's hook reads."""

import json
from importlib import import_module, metadata, resources

import jsonschema
import pytest

from airflow_agent_provider.get_provider_info import get_provider_info
from airflow_agent_provider.hooks.llm import LLMHook
from airflow_agent_provider.hooks.llm_extras import EXTRAS, PROVIDER_NAMES

INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]


@pytest.mark.parametrize("name", ["provider.yaml.schema.json", "provider_info.schema.json"])
def test_the_manifest_fits_airflows_schema(name):
    """The stricter of the two also refuses unknown keys."""
    schema = json.loads(resources.files("airflow").joinpath(name).read_text())
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(INFO)


def test_the_stricter_schema_would_notice_a_wrong_key():
    """The check above can fail."""
    schema = json.loads(resources.files("airflow").joinpath("provider.yaml.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**INFO, "conection-types": []}, schema)


def test_the_package_is_named_and_versioned_as_it_is_distributed():
    """Airflow skips a provider whose manifest has another name."""
    distribution = metadata.distribution("airflow-agent-provider")
    assert distribution.metadata["Name"] == INFO["package-name"]
    assert distribution.version == INFO["versions"][0]


def test_the_entry_point_gives_the_manifest():
    """As Airflow's discovery loads it."""
    (entry,) = metadata.distribution("airflow-agent-provider").entry_points.select(
        group="apache_airflow_provider"
    )
    assert entry.load()() == INFO


def modules():
    return [
        module for kind in ("operators", "hooks") for part in INFO[kind] for module in part["python-modules"]
    ]


@pytest.mark.parametrize("module", modules())
def test_every_module_can_be_imported(module):
    """A dotted path in a manifest is checked by nobody else."""
    import_module(module)


@pytest.mark.parametrize("path", INFO["cli"])
def test_every_command_function_can_be_imported(path):
    """It gives commands that Airflow's parser takes."""
    module, _, name = path.rpartition(".")
    (group,) = getattr(import_module(module), name)()
    assert group.name == "agent-provider"
    assert all(command.help and callable(command.func) for command in group.subcommands)


def test_every_part_belongs_to_a_declared_integration():
    """The schema only says so in words."""
    names = {integration["integration-name"] for integration in INFO["integrations"]}
    assert {part["integration-name"] for kind in ("operators", "hooks") for part in INFO[kind]} <= names


def test_the_connection_type_is_the_hooks():
    """Class, type and name agree."""
    module, _, name = CONNECTION["hook-class-name"].rpartition(".")
    assert getattr(import_module(module), name) is LLMHook
    assert CONNECTION["connection-type"] == LLMHook.conn_type
    assert CONNECTION["hook-name"] == LLMHook.hook_name


def test_the_form_offers_only_what_the_hook_reads():
    """Every field is an extra the hook knows, with a label and a description."""
    fields = CONNECTION["conn-fields"]
    assert set(fields) <= set(EXTRAS)
    assert all(field["label"] and field["description"] for field in fields.values())
    assert tuple(fields["provider"]["schema"]["enum"]) == PROVIDER_NAMES
    assert all(name in fields["provider"]["description"] for name in PROVIDER_NAMES)


def test_the_forms_defaults_make_a_connection(monkeypatch):
    """What the form sends when only the model and the key are filled in is accepted."""
    extra = {name: field["schema"].get("default") for name, field in CONNECTION["conn-fields"].items()}
    extra |= {"model": "gpt-4o", **json.loads(CONNECTION["ui-field-behaviour"]["placeholders"]["extra"])}
    value = {"conn_type": "llm", "password": "sk-secret-123", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LLM_DEFAULT", json.dumps(value))
    endpoint = LLMHook().get_model().endpoint
    assert (endpoint.base_url, endpoint.model) == ("https://api.openai.com/v1", "gpt-4o")


def test_airflow_shows_the_form():
    """The service behind the connection page finds the type with all its fields."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = (form for form in HookMetaService.hook_meta_data() if form.connection_type == "llm")
    assert form.hook_name == "LLM"
    assert set(form.extra_fields) == set(CONNECTION["conn-fields"])
    assert (form.standard_fields.host.title, form.standard_fields.password.title) == ("Base URL", "API key")
    assert form.standard_fields.login.hidden
