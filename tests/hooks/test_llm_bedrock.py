"""
Amazon Bedrock through the hook: the signature, the credentials and where requests go.

The signature is botocore's own, made for the same bytes at the same time. Temporary
credentials come from a server that answers as AWS's token service does.
"""

import asyncio
import json
import logging
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.exceptions import ConfigurationError, ModelUnavailable, RequestRejected
from airflow_agent_provider.hooks.llm import LLMHook
from airflow_agent_provider.hooks.llm_bedrock import DOMAINS

pytestmark = pytest.mark.usefixtures("_no_aws_around_here")

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/hidden-secret", "hidden-session-token"
ASK = CallModel((Message("user", "How many röws?"),), max_tokens=64)
MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATH = "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
NOW = datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)
REPLY = {
    "output": {"message": {"role": "assistant", "content": [{"text": "12 rows"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12},
}


@pytest.fixture
def _no_aws_around_here(monkeypatch, tmp_path):
    """Neither this machine's credentials nor its region decide a test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def aws(monkeypatch):
    """Define an aws connection."""

    def define(conn_id="aws_default", *, login=ACCESS, password=SECRET, **extra):
        value = {"conn_type": "aws", "login": login, "password": password, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))
        return conn_id

    return define


@pytest.fixture
def bedrock(connect):
    """Define a connection to Bedrock and give its hook."""

    def define(*, host=None, password=None, **extra):
        extra = {"provider": "bedrock", "model": MODEL, "max_retries": 0, **extra}
        return LLMHook(connect(host=host, password=password, extra=extra))

    return define


@pytest.fixture
def frozen_time(monkeypatch):
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)


# The signature


def botocores_request(body, region, url=None):
    """What boto3's own client would send with this body, caught before it is sent."""
    sent = []

    def put_body(params, **_):
        params["body"] = body

    def catch(request, **_):
        sent.append(request)
        answer = type("Body", (), {"stream": lambda _, **__: iter([json.dumps(REPLY).encode()])})()
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, answer)

    session = boto3.Session(ACCESS, SECRET, TOKEN, region_name=region)
    with closing(session.client("bedrock-runtime", endpoint_url=url)) as client:
        client.meta.events.register("before-call.bedrock-runtime.Converse", put_body)
        client.meta.events.register("before-send.bedrock-runtime.Converse", catch)
        client.converse(modelId=MODEL, messages=[])
    return sent[0]


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", "us-gov-west-1"])
def test_the_signature_is_botocores_to_the_byte(aws, bedrock, frozen_time, region):
    """Authorization, date and session token of the same request at the same time, and its address."""
    aws(aws_session_token=TOKEN)
    model = bedrock(region_name=region).get_model()
    request = model.model.wire.encode(ASK, model=MODEL, key=None)
    url = model.endpoint.base_url + request.path
    signed = model.endpoint.signer.sign("POST", url, request.headers, request.body)
    theirs = botocores_request(request.body, region)
    assert theirs.url == url
    for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "Content-Type"):
        assert signed[name.lower()].encode() == theirs.headers[name]


def test_a_signed_request_is_answered(chat_server, aws, bedrock, frozen_time):
    """Over the line, where the server computes the same signature of what it received."""
    chat_server.routes["POST", PATH] = (200, REPLY)
    address = chat_server.base_url.removesuffix("/v1")
    aws(region_name="eu-central-1", aws_session_token=TOKEN)
    reply = bedrock(host=address).answer(ASK)
    assert reply.text == "12 rows"
    ((_, path, headers, content),) = chat_server.requests
    headers = {name.lower(): value for name, value in headers.items()}
    body = json.dumps(content, separators=(",", ":")).encode()
    expected = AWSRequest(
        "POST", address + path, headers={"content-type": headers["content-type"]}, data=body
    )
    SigV4Auth(Credentials(ACCESS, SECRET, TOKEN), "bedrock", "eu-central-1").add_auth(expected)
    assert headers["authorization"] == expected.headers["Authorization"]
    assert headers["x-amz-security-token"] == TOKEN


def test_each_try_is_signed_anew(chat_server, aws, bedrock, monkeypatch):
    """A signature is valid for five minutes; a retry must not come with an old one."""
    chat_server.routes["POST", PATH] = (503, {"message": "busy"})
    times = iter([NOW, NOW + timedelta(minutes=6)])
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: next(times))
    aws(region_name="eu-central-1")
    hook = bedrock(host=chat_server.base_url.removesuffix("/v1"), max_retries=1)
    with pytest.raises(ModelUnavailable):
        hook.answer(ASK)
    dates = [headers["x-amz-date"] for _, _, headers, _ in chat_server.requests]
    assert dates == ["20261122T100030Z", "20261122T100630Z"]


def test_an_api_key_goes_as_a_bearer_and_nothing_is_signed(chat_server, bedrock):
    """And no aws connection is looked for."""
    chat_server.routes["POST", PATH] = (200, REPLY)
    hook = bedrock(host=chat_server.base_url.removesuffix("/v1"), password="bedrock-api-key-123")
    assert hook.get_model().endpoint.signer is None
    hook.answer(ASK)
    headers = chat_server.requests[0][2]
    assert headers["authorization"] == "Bearer bedrock-api-key-123"
    assert "x-amz-date" not in headers


def test_a_header_of_ones_own_stands_for_the_key(bedrock):
    """A gateway before Bedrock may have its own way."""
    hook = bedrock(host="https://gateway.example.org", headers={"Authorization": "Bearer gateway-key-123"})
    endpoint = hook.get_model().endpoint
    assert (endpoint.signer, endpoint.base_url) == (None, "https://gateway.example.org")


def test_what_a_server_echoes_of_the_request_is_struck_out(chat_server, aws, bedrock, caplog):
    """AWS answers a wrong signature with the whole canonical request, the session token in it."""
    caplog.set_level(logging.INFO)
    echo = f"The canonical request should have been x-amz-security-token:{TOKEN} {SECRET}"
    chat_server.routes["POST", PATH] = (403, {"message": echo})
    aws(region_name="eu-central-1", aws_session_token=TOKEN)
    with pytest.raises(RequestRejected, match="canonical request") as caught:
        bedrock(host=chat_server.base_url.removesuffix("/v1")).answer(ASK)
    for secret in (TOKEN, SECRET):
        assert secret not in str(caught.value) + caplog.text


def test_credentials_are_masked_and_not_in_the_repr(aws, bedrock, monkeypatch):
    """Whoever logs them later, Airflow shows stars."""
    masked = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, *_: masked.append(secret))
    aws(region_name="eu-central-1", aws_session_token=TOKEN)
    endpoint = bedrock().get_model().endpoint
    endpoint.signer.sign("POST", endpoint.base_url, {"content-type": "application/json"}, b"{}")
    assert SECRET in masked
    assert TOKEN in masked
    assert SECRET not in repr(endpoint) + repr(endpoint.signer)


# Temporary credentials


class TokenService(BaseHTTPRequestHandler):
    """Gives new credentials to whoever asks, or the status that it was told."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        server = self.server
        server.given += 1
        until = datetime.now(UTC) + server.lasting
        xmlns = "https://sts.amazonaws.com/doc/2011-06-15/"
        if server.status == 200:
            body = f"""<AssumeRoleResponse xmlns="{xmlns}"><AssumeRoleResult><Credentials>
                <AccessKeyId>{ACCESS}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>
                <SessionToken>{TOKEN}-{server.given}</SessionToken><Expiration>{until.isoformat()}</Expiration>
                </Credentials></AssumeRoleResult></AssumeRoleResponse>"""
        else:
            body = f"""<ErrorResponse xmlns="{xmlns}"><Error><Code>AccessDenied</Code>
                <Message>arn:aws:iam::123456789012:user/private may not</Message></Error></ErrorResponse>"""
        self.send_response(server.status)
        self.send_header("content-type", "text/xml")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Keep the test output clean."""


@pytest.fixture
def token_service():
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenService) as server:
        server.given, server.status, server.lasting = 0, 200, timedelta(hours=1)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def assume_role(aws, token_service):
    """Define an aws connection whose credentials are those of a role."""
    return aws(
        region_name="eu-central-1",
        role_arn="arn:aws:iam::123456789012:role/models",
        service_config={"sts": {"endpoint_url": f"http://127.0.0.1:{token_service.server_port}"}},
        config_kwargs={"retries": {"total_max_attempts": 1}},
    )


def signed_token(signer):
    signed = signer.sign("POST", "https://bedrock.test/x", {"content-type": "application/json"}, b"{}")
    return signed["x-amz-security-token"]


def test_temporary_credentials_are_kept_while_they_last(assume_role, token_service, bedrock):
    """One question to the token service for many requests, from many threads at once too."""
    signer = bedrock(aws_conn_id=assume_role).get_model().endpoint.signer

    async def many():
        return await asyncio.gather(*(asyncio.to_thread(signed_token, signer) for _ in range(20)))

    assert set(asyncio.run(many())) == {f"{TOKEN}-{token_service.given}"}
    assert token_service.given == 1


def test_temporary_credentials_are_renewed_before_they_end(assume_role, token_service, bedrock):
    """A model outlives its credentials; the new ones are as secret as the old."""
    token_service.lasting = timedelta(seconds=30)
    signer = bedrock(aws_conn_id=assume_role).get_model().endpoint.signer
    first, second = signed_token(signer), signed_token(signer)
    assert first != second
    assert {SECRET, first, second} <= set(signer.secrets)
    for _ in range(10):
        signed_token(signer)
    assert len(signer.secrets) <= 4


@pytest.mark.parametrize(("status", "error"), [(403, RequestRejected), (503, ModelUnavailable)])
def test_a_token_service_that_says_no_is_a_typed_error(assume_role, token_service, bedrock, status, error):
    """Permanent when it refuses, transient when it is down; accounts and users stay out of the message."""
    token_service.status = status
    with pytest.raises(
        error, match=r"connection 'llm_default': AWS gave no credentials \(AccessDenied"
    ) as caught:
        bedrock(aws_conn_id=assume_role).answer(ASK)
    assert "private" not in str(caught.value)
    assert caught.value.__context__ is None
    if error is ModelUnavailable:
        assert not caught.value.maybe_billed


def test_a_token_service_that_is_not_there_is_unavailable(aws, bedrock):
    """It may be back next time."""
    aws(
        region_name="eu-central-1",
        role_arn="arn:aws:iam::123456789012:role/models",
        service_config={"sts": {"endpoint_url": "http://127.0.0.1:1"}},
        config_kwargs={"retries": {"total_max_attempts": 1}},
    )
    with pytest.raises(ModelUnavailable, match="no AWS credentials this time"):
        bedrock().answer(ASK)


def test_a_connection_without_credentials_says_so(aws, bedrock):
    """Before anything is sent."""
    aws(login=None, password=None, region_name="eu-central-1")
    with pytest.raises(
        ConfigurationError, match="connection 'llm_default': the aws connection has no credentials"
    ):
        bedrock().answer(ASK)


# Where requests go


REGIONS = {
    "": "ap-southeast-2",
    "cn-": "cn-north-1",
    "eusc-": "eusc-de-east-1",
    "us-iso-": "us-iso-east-1",
    "us-isob-": "us-isob-east-1",
    "eu-isoe-": "eu-isoe-west-1",
    "us-isof-": "us-isof-south-1",
}


@pytest.mark.parametrize("start", ["", *DOMAINS])
def test_the_address_is_that_of_the_region(aws, bedrock, start):
    """As botocore has it, in every partition."""
    aws()
    region = REGIONS[start]
    client = boto3.client(
        "bedrock-runtime", region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
    )
    with closing(client):
        assert bedrock(region_name=region).get_model().endpoint.base_url == client.meta.endpoint_url


def test_the_region_may_stand_on_the_aws_connection(aws, bedrock):
    """The llm connection's own goes first."""
    aws(region_name="eu-west-1")
    assert bedrock().get_model().endpoint.signer.region_name == "eu-west-1"
    assert bedrock(region_name="eu-north-1").get_model().endpoint.signer.region_name == "eu-north-1"


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": "https://vpce.example.org/"},
        {"service_config": {"bedrock-runtime": {"endpoint_url": "https://vpce.example.org"}}},
    ],
)
def test_the_aws_connection_may_say_where_bedrock_is(aws, bedrock, extra):
    """As for every hook of the Amazon provider; the llm connection's own host goes first."""
    aws(region_name="eu-west-1", **extra)
    assert bedrock().get_model().endpoint.base_url == "https://vpce.example.org"
    assert (
        bedrock(host="https://proxy.example.org").get_model().endpoint.base_url == "https://proxy.example.org"
    )


def test_without_an_aws_connection_the_machines_own_credentials_are_taken(bedrock, monkeypatch):
    """As Airflow's other AWS hooks do for aws_default, and for that alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    endpoint = bedrock().get_model().endpoint
    assert endpoint.base_url == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    signed = endpoint.signer.sign("POST", endpoint.base_url, {"content-type": "application/json"}, b"{}")
    assert f"Credential={ACCESS}/" in signed["authorization"]
    with pytest.raises(ConfigurationError, match="connection 'aws_other' does not exist"):
        bedrock(aws_conn_id="aws_other").get_model()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "'region_name' is missing"),
        ({"password": "bedrock-api-key-123"}, "'region_name' is missing"),
        ({"region_name": "frankfurt"}, "'region_name' must be text like eu-central-1"),
        ({"region_name": "eu-central-1.evil.org/"}, "'region_name' must be text like"),
        ({"aws_conn_id": "a b"}, "'aws_conn_id' must be text like aws_default"),
        ({"password": "bedrock-api-key-123", "aws_conn_id": "aws_default"}, "keep one"),
        ({"region_name": "eu-west-1", "host": "http://10.0.0.7"}, "plain http"),
        ({"region_name": "eu-west-1", "host": "ftp://10.0.0.7"}, "no http or https URL"),
    ],
)
def test_a_wrong_field_is_named(aws, bedrock, fields, told):
    """Before anything is sent."""
    aws()
    with pytest.raises(ConfigurationError, match="connection 'llm_default': ") as caught:
        bedrock(**fields).get_model()
    assert told in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("extra", [{"endpoint_url": "not a url"}, {"service_config": "wrong"}])
def test_an_aws_connection_that_cannot_be_used_is_told(aws, bedrock, extra):
    """As a configuration error, whatever the Amazon provider makes of it."""
    aws(region_name="eu-west-1", **extra)
    with pytest.raises(ConfigurationError, match="connection 'llm_default'"):
        bedrock().get_model()


def test_the_test_button_asks_for_a_word(chat_server, aws, bedrock):
    """There is no list of models at that address."""
    chat_server.routes["POST", PATH] = (200, REPLY)
    aws(region_name="eu-central-1")
    worked, told = bedrock(host=chat_server.base_url.removesuffix("/v1")).test_connection()
    assert worked, told
    assert [request[0] for request in chat_server.requests] == ["POST"]
