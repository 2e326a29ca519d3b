"""Checks that ask nobody: the settings and the process's environment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from rom_core.ops.doctor.findings import FAIL, OK, WARN, Finding
from rom_core.ops.doctor.models import chain, not_in_use, unused_fallbacks
from rom_core.settings import Settings
from rom_core.settings.residency import endpoint_region

BEARER = "AWS_BEARER_TOKEN_BEDROCK"
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_TAKE_OUT = "take it out of MODEL_PRIMARY and MODEL_FALLBACKS when nobody names it"
_ENDPOINTS = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")


def check_switch(settings: Settings) -> Iterator[Finding]:
    """The kill switch, and whether Bedrock is asked at all."""
    if not settings.BEDROCK_ENABLED:
        source = settings.source("BEDROCK_ENABLED")
        yield Finding("switch", WARN, f"BEDROCK_ENABLED is false ({source}): chat answers 503", "set it to true")
    endpoint = settings.BEDROCK_ENDPOINT_URL
    if endpoint == "local":
        text = "BEDROCK_ENDPOINT_URL is `local`: the bundled local Bedrock answers, AWS is not asked"
        yield Finding("endpoint", OK, text, "for real answers set BEDROCK_ENDPOINT_URL to nothing")
    elif region := endpoint_region(endpoint, ""):
        yield Finding("endpoint", OK, f"requests go to {endpoint}, in the AWS region {region}")
    elif endpoint:
        yield Finding("endpoint", WARN, f"requests go to {endpoint}, not to AWS", "is that meant?")


def check_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that change where requests go and with which credentials; their values are not shown."""
    proxies = [name for name in _PROXIES if environ.get(name) or environ.get(name.lower())]
    if proxies:
        text = f"{', '.join(proxies)} set: requests to AWS go through a proxy"
        yield Finding("proxy", WARN, text, "unset it, or name amazonaws.com in NO_PROXY, if that is not meant")
    endpoints = [name for name in _ENDPOINTS if environ.get(name)]
    if endpoints:
        text = f"{', '.join(endpoints)} set: conversations do not go there, BEDROCK_ENDPOINT_URL says where they go"
        yield Finding("endpoint", WARN, text, "set BEDROCK_ENDPOINT_URL to that address if it is meant, and unset it")
    token = environ.get(BEARER)
    if token is not None and not token.strip():
        yield Finding("bearer", FAIL, f"{BEARER} is set but empty: no other credentials are tried", "unset it")
    elif token is not None:
        text = f"{BEARER} is set: it is used in place of any keys, and read once, so that a new one needs a restart"
        yield Finding("bearer", WARN, text, "unset it if keys or a role are meant")


def check_end_of_life(settings: Settings) -> Iterator[Finding]:
    """Models of the chain that the table MODELS marks as no longer served."""
    models = chain(settings)
    dead = [model.alias for model in models if model.end_of_life]
    if models and len(dead) == len(models):
        yield Finding("models", FAIL, f"{', '.join(dead)}: past the end of life", "name a live one in MODEL_PRIMARY")
    elif dead:
        text = f"{', '.join(dead)}: past the end of life on Bedrock, skipped; a live model stands in its place"
        yield Finding("models", WARN, text, _TAKE_OUT)
    if ended := [model.alias for model in unused_fallbacks(settings) if model.end_of_life]:
        yield not_in_use(Finding("models", WARN, f"{', '.join(ended)}: past the end of life on Bedrock", _TAKE_OUT))


def check_region(settings: Settings, known: Collection[str]) -> Iterator[Finding]:
    """Whether AWS_REGION is among the regions that boto3 knows."""
    region, source = settings.AWS_REGION, settings.source("AWS_REGION")
    if region in known:
        yield Finding("region", OK, f"AWS_REGION is {region} ({source})")
    else:
        yield Finding(
            "region", WARN, f"AWS_REGION is {region} ({source}), which boto3 does not know", "is it spelt right?"
        )
