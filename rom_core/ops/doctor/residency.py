"""Where a model may process what is sent to it, by its id alone."""

from __future__ import annotations

from collections.abc import Iterator

from rom_core.ops.doctor.findings import FAIL, OK, WARN, Finding, Status
from rom_core.ops.doctor.models import chain, not_in_use, unused_fallbacks
from rom_core.settings import Model, Settings
from rom_core.settings.residency import GEOGRAPHIES, Place, endpoint_region, geography, place

_BRAZIL = "sa-east-1"
LGPD = "Lei 13.709/2018 (LGPD), arts. 33 to 36, on sending personal data abroad"


def check_data_path(settings: Settings) -> Iterator[Finding]:
    """Where the living models of the chain, and those that the fallback would add, may process what is sent to them."""
    if settings.DATA_RESIDENCY:
        yield Finding("residency", OK, f"DATA_RESIDENCY is {settings.DATA_RESIDENCY!r}; no model of MODELS leaves it")
    region = endpoint_region(settings.BEDROCK_ENDPOINT_URL, settings.AWS_REGION)
    if region is None:
        text = "the host of BEDROCK_ENDPOINT_URL does not tell where what is sent is processed"
        yield Finding("data", WARN, text, f"ask who runs it; it decides on the legal basis: {LGPD}")
        return
    if region != settings.AWS_REGION:
        text = f"BEDROCK_ENDPOINT_URL is in {region}, AWS_REGION is {settings.AWS_REGION}"
        yield Finding("region", WARN, text, "set AWS_REGION to the same: AWS refuses signatures for another region")
    places: dict[Place, list[str]] = {}
    waiting = unused_fallbacks(settings)
    for model in (*chain(settings), *waiting):
        if model.end_of_life:
            continue
        places.setdefault(place(model.id, region), []).append(model.alias)
        for finding in _reach(model, region):
            yield not_in_use(finding) if model in waiting else finding
    for where, aliases in places.items():
        yield _describe(where, ", ".join(aliases), settings.BEDROCK_ENDPOINT_URL)


def _reach(model: Model, region: str) -> Iterator[Finding]:
    profile = geography(model.id)
    if profile is not None and not region.startswith(GEOGRAPHIES[profile][1]):
        text = f"{model.alias}: the profile `{profile}.` cannot be called from AWS_REGION {region}"
        yield Finding("region", FAIL, text, "choose a region of its geography, or another profile in MODELS")


def _describe(where: Place, aliases: str, endpoint: str) -> Finding:
    if where.text is None:
        text = f"{aliases}: where it processes what is sent is not known from its id"
        return Finding("data", WARN, text, f"look it up in the Bedrock console; it decides on the legal basis: {LGPD}")
    then = "what is sent is processed"
    if endpoint == "local":
        then = "nothing leaves this machine while the local Bedrock answers; on AWS it would be processed"
    elif endpoint_region(endpoint, "") == "":
        then = "what is sent goes to BEDROCK_ENDPOINT_URL, on this machine; on AWS it would be processed"
    in_brazil = where.region == _BRAZIL
    status: Status = OK if in_brazil else WARN
    todo = "" if in_brazil else f"know the legal basis for it: {LGPD}"
    return Finding(
        "data", status, f"{aliases}: {then} {where.text}, {'in Brazil' if in_brazil else 'not kept in Brazil'}", todo
    )
