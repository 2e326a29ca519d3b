"""DATA_RESIDENCY: where models may process what people write, and where each model does, by its id alone.

Lei 13.709/2018 (LGPD), arts. 33 to 36, and Resolution CD/ANPD 19/2024: who sends personal data abroad needs a ground
for it, and has to know that it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from rom_core.settings.addresses import is_loopback

# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html: the first part of a profile's
# id tells from where it can be called, and so the regions that may process a request.
GEOGRAPHIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
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
_PROVIDER = re.compile(r"[a-z0-9]+")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")
# https://docs.aws.amazon.com/general/latest/gr/bedrock.html: plain, FIPS and dual-stack endpoints, and those of a VPC,
# https://docs.aws.amazon.com/bedrock/latest/userguide/vpc-interface-endpoints.html.
_AWS_HOST = re.compile(
    rf"(?:[a-z0-9-]+\.)?bedrock-runtime(?:-fips)?\.({_REGION.pattern})\.(?:(?:vpce\.)?amazonaws\.com(?:\.cn)?|api\.aws)"
)
_ANYWHERE = re.compile(r"any:\s*[^\s,][^,]*,\s*\S.*", re.DOTALL)
FORM = (
    "regions separated by commas, as us-east-1, or geographies of inference profiles, as us; or, where data may be "
    "processed anywhere, `any: <who decided>, <on what ground>`"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model runs: `text` for people, None if its id does not tell; `region` if it is exactly one."""

    text: str | None
    region: str | None = None


def geography(model_id: str) -> str | None:
    """The geography in front of an inference profile's id, as in `us.anthropic.…`; None for anything else."""
    _, kind, name = _parts(model_id)
    first = name.partition(".")[0]
    return first if kind in ("", "inference-profile") and first in GEOGRAPHIES else None


def place(model_id: str, region: str) -> Place:
    """Where the model of that id or ARN is run when it is asked from `region`."""
    profile = geography(model_id)
    if profile is not None:
        return Place(f"in {GEOGRAPHIES[profile][0]} (profile `{profile}.`)")
    own_region, kind, name = _parts(model_id)
    first, *rest = name.split(".")
    plain = _PROVIDER.fullmatch(first) is not None and (len(rest) == 1 or (len(rest) > 1 and first in _PROVIDERS))
    if not plain or kind not in ("", "foundation-model"):
        return Place(None)
    region = own_region or region
    return Place(f"in {region} only", region)


def endpoint_region(endpoint: str, region: str) -> str | None:
    """The region that answers under BEDROCK_ENDPOINT_URL `endpoint`, None if its host does not tell.

    AWS_REGION `region` counts where no address is given, and for a stand-in on this machine, which answers for it.
    """
    if endpoint in ("", "local"):
        return region
    try:
        host = (urlsplit(endpoint).hostname or "").rstrip(".")
    except ValueError:
        return None
    if is_loopback(host):
        return region
    found = _AWS_HOST.fullmatch(host)
    return found[1] if found else None


def anywhere(text: str) -> bool:
    """Whether DATA_RESIDENCY `text` sets no bounds."""
    return text.strip().lower().startswith("any")


def residency_problem(text: str) -> str | None:
    """What is wrong with the form of DATA_RESIDENCY, None for nothing."""
    if anywhere(text):
        if _ANYWHERE.fullmatch(text.strip()):
            return None
        return "`any` needs who decided it and on what ground: `any: <who decided>, <on what ground>`"
    for entry in _entries(text):
        if entry == "global":
            return "`global` is anywhere: write `any: <who decided>, <on what ground>`"
        if entry not in GEOGRAPHIES and not _REGION.fullmatch(entry):
            return f"{entry!r} is no region; it must be {FORM}"
    return None


def leaves_residency(text: str, model_id: str, region: str) -> str | None:
    """Why the model of that id, asked from `region`, may process data outside of DATA_RESIDENCY `text`; None if not.

    A profile spreads requests over regions of its geography that AWS may add to, so it is inside only where the
    geography itself is listed. A model whose id does not tell where it runs is outside of any list.
    """
    if anywhere(text):
        return None
    allowed = _entries(text)
    profile = geography(model_id)
    if profile is not None:
        return None if profile in allowed else f"is processed {place(model_id, region).text}"
    where = place(model_id, region)
    if where.region is None:
        return "is processed where its id does not tell"
    geographies = (GEOGRAPHIES[entry][1] for entry in allowed if entry in GEOGRAPHIES)
    inside = where.region in allowed or any(where.region.startswith(prefixes) for prefixes in geographies)
    return None if inside else f"is processed {where.text}"


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _parts(model_id: str) -> tuple[str, str, str]:
    """(region, kind of resource, name) of an ARN; ("", "", the id) of anything else."""
    if not model_id.startswith("arn:"):
        return "", "", model_id
    fields = model_id.split(":", 5)
    kind, _, name = fields[-1].partition("/")
    return (fields[3] if len(fields) == 6 else ""), kind, name
