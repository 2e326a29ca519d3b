"""All checks, in the order in which a person would put things right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rom_core.ops.doctor import here
from rom_core.ops.doctor.aws import Aws
from rom_core.ops.doctor.findings import FAIL, Finding
from rom_core.ops.doctor.residency import check_data_path
from rom_core.settings import Settings

_SECONDS = 5


def examine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Findings as they are made; AWS is asked unless BEDROCK_ENDPOINT_URL points elsewhere."""
    yield from here.check_switch(settings)
    yield from here.check_environment(environ)
    yield from here.check_end_of_life(settings)
    yield from check_data_path(settings)
    if not settings.BEDROCK_ENDPOINT_URL:
        yield from ask_aws(settings, environ)


def ask_aws(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The checks of `Aws` with the credentials that boto3 finds on this machine, at AWS's own addresses."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    from rom_core.bedrock.client import aws_session, make_client
    from rom_core.errors import ConfigurationError

    config = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 1})
    made: dict[str, Any] = {}

    def clients(service: str) -> Any:
        if service not in made:
            runtime = service == "bedrock-runtime"
            made[service] = (
                make_client(settings, None)
                if runtime
                else session.client(service, region_name=settings.AWS_REGION, config=config)
            )
        return made[service]

    try:
        session = aws_session()
        yield from here.check_region(settings, session.get_available_regions("ec2"))
        credentials = session.get_credentials()
        yield from Aws(settings, clients, credentials, lambda: datetime.now(UTC)).findings(environ)
    except (BotoCoreError, ConfigurationError) as error:
        # An unknown AWS_PROFILE, half a key pair, an unreachable metadata service.
        yield Finding("credentials", FAIL, str(error), "correct the AWS configuration of this machine")
    finally:
        for client in made.values():
            client.close()
