"""The boto3 client, and what is left to check of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rom_core.conversation import NORMALISED
from rom_core.errors import ConfigurationError
from rom_core.settings import Settings

PER_THREAD: Final = 2
"""Requests for each thread of the server: one that it waits for, and one that was given up and is not back yet."""


def aws_session() -> Any:
    """A boto3 session that sends to AWS's own addresses: AWS_ENDPOINT_URL and its like say nothing, in no client.

    That counts for the clients that botocore makes by itself too: the one that trades an OpenID Connect token for
    credentials sends the token as it is.
    """
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    core.set_config_variable("ignore_configured_endpoint_urls", True)
    return boto3.Session(botocore_session=core)


def make_client(settings: Settings, endpoint_url: str | None) -> Any:
    """A bedrock-runtime client with botocore's own retries off, which is checked.

    Over plain http, which only a local Bedrock speaks, no real credentials and no proxy are used. Raises
    ConfigurationError, with what to do about it.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    options: dict[str, Any] = {}
    keys: dict[str, str] = {}
    if endpoint_url is not None and endpoint_url.startswith("http://"):
        # The bearer token of AWS_BEARER_TOKEN_BEDROCK is refused over http, and proxies are asked even for 127.0.0.1.
        options = {"signature_version": "v4", "proxies": {}}
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    config = Config(
        region_name=settings.AWS_REGION,
        connect_timeout=settings.BEDROCK_CONNECT_TIMEOUT_SECONDS,
        read_timeout=settings.BEDROCK_READ_TIMEOUT_SECONDS,
        max_pool_connections=PER_THREAD * settings.HTTP_THREADS,
        # PERF: walks the whole conversation before every request, after the normaliser did; `make_check` does the rest.
        parameter_validation=False,
        # The mode is named because AWS_RETRY_MODE=adaptive would hold requests back even without retries.
        retries={"total_max_attempts": 1, "mode": "standard"},
        tcp_keepalive=True,
        **options,
    )
    try:
        client = aws_session().client("bedrock-runtime", config=config, endpoint_url=endpoint_url, **keys)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"no client for Bedrock: {error}") from error
    if (client.meta.config.retries or {}).get("total_max_attempts") != 1:
        raise ConfigurationError("botocore would retry by itself; retries must be left to the retry plugin")
    return client


def make_check(client: Any) -> Callable[[Mapping[str, Any]], None]:
    """Refuses, as botocore would, arguments that the normaliser does not put in order: it would drop unknown ones.

    The function raises botocore.exceptions.ParamValidationError.
    """
    from botocore.exceptions import ParamValidationError
    from botocore.validate import ParamValidator

    shape = client.meta.service_model.operation_model("ConverseStream").input_shape
    validator = ParamValidator()
    # PERF: of most requests this is all there is to check, and it is one of the few in MODELS.
    good_models: set[str] = set()

    def check(request: Mapping[str, Any]) -> None:
        beside = request.keys() - NORMALISED
        if beside == {"modelId"} and request["modelId"] in good_models:
            return
        report = validator.validate({name: request[name] for name in beside}, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        good_models.add(request["modelId"])

    return check
