"""
Who asks Amazon Bedrock, and where: credentials of an ``aws`` connection, per request.

Each request is signed with Signature Version 4
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html) by botocore's own
signer. The credentials come through the Amazon provider: keys, an assumed role, web
identity, an instance's role, whatever the connection says. Temporary ones are renewed
by botocore when they near their end, so that a model may live longer than they do.

What is signed is the method, the address, the body and the content type; a proxy may
change any other header.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.exceptions import ConfigurationError, ModelUnavailable, RequestRejected
from airflow_agent_provider.hooks.llm_extras import AWS_REGION

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from botocore.credentials import Credentials, ReadOnlyCredentials
    from botocore.exceptions import ClientError

SERVICE = "bedrock"  # as signatures name it
RUNTIME = "bedrock-runtime"  # as addresses do
#: The domain of each partition, by how its regions begin; all others are ``amazonaws.com``.
DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}
SERVER_ERROR = 500
KEPT_SECRETS = 4


def at_bedrock(endpoint: Endpoint, extras: Mapping[str, Any]) -> Endpoint:
    """
    Complete an endpoint: the region's address and, where there is no API key, who signs.

    :raises ConfigurationError: when neither says who asks, or where.
    """
    where, aws_conn_id, region_name = endpoint.name, extras.get("aws_conn_id"), extras.get("region_name")
    if endpoint.key and aws_conn_id:
        raise ConfigurationError(f"{where}: password and extra 'aws_conn_id' both say who asks: keep one")
    if endpoint.key or "authorization" in endpoint.headers:
        return replace(endpoint, base_url=endpoint.base_url or _base_url(_region(region_name, where)))
    signer = AwsSigner(aws_conn_id, region_name, where)
    base_url = endpoint.base_url or signer.endpoint_url or _base_url(signer.region_name)
    return replace(endpoint, base_url=base_url.rstrip("/"), signer=signer)


class AwsSigner:
    """
    Signs requests with the credentials of an ``aws`` connection.

    :ivar region_name: the AWS region that requests are signed for.
    :ivar endpoint_url: where the connection says that Bedrock is; None when it does not.
    :param aws_conn_id: None takes ``aws_default`` or, when there is none, what boto3 finds around it.
    :param where: how errors call the connection that asks.
    :raises ConfigurationError: when the connection is missing or wrong, or no region is named.
    """

    def __init__(self, aws_conn_id: str | None, region_name: str | None, where: str) -> None:
        self._credentials: Credentials | None = None
        self._lock = threading.Lock()
        self.secrets: tuple[str, ...] = ()
        self._hook, region, self.endpoint_url = _open(aws_conn_id, region_name, where)
        self.region_name = _region(region, where)

    def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """
        Give the headers that prove who asks.

        :raises ConfigurationError: when the connection has no credentials.
        :raises RequestRejected: when AWS refuses to give them.
        :raises ModelUnavailable: when they cannot be had this time.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        content_type = {"content-type": headers["content-type"]}
        request = AWSRequest(method, url, headers=content_type, data=body)
        SigV4Auth(self._frozen(), SERVICE, self.region_name).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    def _frozen(self) -> ReadOnlyCredentials:
        """Give the credentials of this moment, renewed when they had to be."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials = self._hook.get_session(self.region_name).get_credentials()
                credentials = self._credentials
            frozen = credentials.get_frozen_credentials() if credentials else None
        except ClientError as error:
            failure = _refused(error)
        except BotoCoreError as error:
            failure = ModelUnavailable(
                f"no AWS credentials this time ({type(error).__name__})", maybe_billed=False
            )
        else:
            if frozen is None or not frozen.access_key:
                raise ConfigurationError("the aws connection has no credentials, nor has this machine")
            self._keep_secret(frozen)
            return frozen
        raise failure

    def _keep_secret(self, credentials: ReadOnlyCredentials) -> None:
        from airflow.sdk.log import mask_secret

        new = tuple(one for one in (credentials.secret_key, credentials.token) if one)
        if not set(new) <= set(self.secrets):
            # Those before them may still come back in an answer that is on its way.
            self.secrets = (new + self.secrets)[:KEPT_SECRETS]
            for secret in new:
                mask_secret(secret)


def _region(region_name: str | None, where: str) -> str:
    if region_name and AWS_REGION.fullmatch(region_name):
        return region_name
    raise ConfigurationError(
        f"{where}: extra 'region_name' is missing: name the AWS region, e.g. eu-central-1; "
        "without a password it may stand on the aws connection"
    )


def _base_url(region_name: str) -> str:
    domain = next((one for start, one in DOMAINS.items() if region_name.startswith(start)), "amazonaws.com")
    return f"https://{RUNTIME}.{region_name}.{domain}"


def _open(
    aws_conn_id: str | None, region_name: str | None, where: str
) -> tuple[AwsGenericHook[Any], str | None, str | None]:
    """Give the hook of a connection, its region and the address that it has for Bedrock."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if aws_conn_id is not None:
            # The hook itself would quietly take other credentials instead.
            AwsBaseHook.get_connection(aws_conn_id)
        hook = AwsBaseHook(
            aws_conn_id or AwsBaseHook.default_conn_name,
            region_name=region_name,
            client_type=RUNTIME,
        )
        endpoint_url = hook.conn_config.get_service_endpoint_url(RUNTIME)
        return hook, hook.region_name or hook.get_session().region_name, endpoint_url
    except AirflowNotFoundException:
        reason = f"connection {aws_conn_id!r} does not exist: create it with type Amazon Web Services"
    except (AirflowException, BotoCoreError, ClientError, AttributeError, TypeError, ValueError) as error:
        # The last three: what an extra of a wrong type becomes in the Amazon provider.
        reason = f"the aws connection cannot be used ({type(error).__name__}): test it"
    raise ConfigurationError(f"{where}: {reason}")


def _refused(error: ClientError) -> ModelUnavailable | RequestRejected:
    """Say what the AWS error stands for; its text names accounts and roles and stays behind."""
    code = str(error.response.get("Error", {}).get("Code", ""))[:60]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", SERVER_ERROR)
    told = f"AWS gave no credentials ({code}, {error.operation_name})"
    if status >= SERVER_ERROR or code in {"Throttling", "ThrottlingException"}:
        return ModelUnavailable(told, maybe_billed=False)
    return RequestRejected(f"{told}: check the aws connection's role", status=403)
