"""Where a model may process what it is told, by its id alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rom_core.ops.doctor.findings import FAIL, OK, WARN, Finding, Status
from rom_core.ops.doctor.models import chain, on_standby, standby
from rom_core.settings import Model, Settings

_BRAZIL = "sa-east-1"
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html: the first part of a profile's
# id tells from where it can be called, and so the regions that may process a request.
_GEOGRAPHIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "us": ("the United States", ("us-", "ca-")),
    "eu": ("the European Union", ("eu-",)),
    "apac": ("Asia and the Pacific", ("ap-",)),
    "au": ("Australia", ("ap-southeast-",)),
    "jp": ("Japan", ("ap-northeast-",)),
    "us-gov": ("the US government regions", ("us-gov-",)),
    "global": ("any commercial region of AWS in the world", ("",)),
}
# https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html. Only an id of three parts or more needs
# it: a model's name may hold dots itself, and a geography that is new here may stand before the provider.
_PROVIDERS = frozenset(
    {
        "ai21",
        "amazon",
        "anthropic",
        "cohere",
        "deepseek",
        "google",
        "luma",
        "meta",
        "minimax",
        "mistral",
        "moonshot",
        "moonshotai",
        "nvidia",
        "openai",
        "qwen",
        "stability",
        "twelvelabs",
        "writer",
        "zai",
    }
)
LGPD = "Lei 13.709/2018 (LGPD), arts. 33 to 36, on sending personal data abroad"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model runs: `text` for people, None if its id does not tell; `region` if it is exactly one."""

    text: str | None
    region: str | None = None


def geography(model_id: str) -> str | None:
    """The geography in front of an inference profile's id, as in `us.anthropic.…`; None for anything else."""
    _, kind, name = _parts(model_id)
    first = name.partition(".")[0]
    return first if kind in ("", "inference-profile") and first in _GEOGRAPHIES else None


def place(model_id: str, region: str) -> Place:
    """Where the model of that id or ARN is run when it is asked from `region`."""
    profile = geography(model_id)
    if profile is not None:
        return Place(f"in {_GEOGRAPHIES[profile][0]} (profile `{profile}.`)")
    own_region, kind, name = _parts(model_id)
    first, *rest = name.split(".")
    plain = len(rest) == 1 or (len(rest) > 1 and first in _PROVIDERS)
    if not plain or kind not in ("", "foundation-model"):
        return Place(None)
    region = own_region or region
    return Place(f"in {region} only", region)


def check_data_path(settings: Settings) -> Iterator[Finding]:
    """Where the living models of the chain, and those that the fallback would add, may process what they are told."""
    region = settings.AWS_REGION
    places: dict[Place, list[str]] = {}
    waiting = standby(settings)
    for model in (*chain(settings), *waiting):
        if model.end_of_life:
            continue
        places.setdefault(place(model.id, region), []).append(model.alias)
        for finding in _reach(model, region):
            yield on_standby(finding) if model in waiting else finding
    for where, aliases in places.items():
        yield _told(where, ", ".join(aliases), settings.BEDROCK_ENDPOINT_URL)


def _reach(model: Model, region: str) -> Iterator[Finding]:
    profile = geography(model.id)
    if profile is not None and not region.startswith(_GEOGRAPHIES[profile][1]):
        text = f"{model.alias}: the profile `{profile}.` cannot be called from AWS_REGION {region}"
        yield Finding("region", FAIL, text, "choose a region of its geography, or another profile in MODELS")


def _told(where: Place, aliases: str, endpoint: str) -> Finding:
    if where.text is None:
        text = f"{aliases}: where it processes what is sent is not known from its id"
        return Finding("data", WARN, text, f"look it up in the Bedrock console; it decides on the legal basis: {LGPD}")
    then = "what is sent is processed"
    if endpoint == "local":
        then = "nothing leaves this machine while the local Bedrock answers; on AWS it would be processed"
    elif endpoint:
        then = "what is sent goes to BEDROCK_ENDPOINT_URL; on AWS it would be processed"
    in_brazil = where.region == _BRAZIL
    status: Status = OK if in_brazil else WARN
    todo = "" if in_brazil else f"know the legal basis for it: {LGPD}"
    return Finding(
        "data", status, f"{aliases}: {then} {where.text}, {'in Brazil' if in_brazil else 'not kept in Brazil'}", todo
    )


def _parts(model_id: str) -> tuple[str, str, str]:
    """(region, kind of resource, name) of an ARN; ("", "", the id) of anything else."""
    if not model_id.startswith("arn:"):
        return "", "", model_id
    fields = model_id.split(":", 5)
    kind, _, name = fields[-1].partition("/")
    return (fields[3] if len(fields) == 6 else ""), kind, name
