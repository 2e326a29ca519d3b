"""`rom cost --workload`: a recorded workload with and without prompt caching, counted by the bundled local Bedrock."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rom_core.ops.workload import InvalidWorkload, Replayed, read_workload, replay
from rom_core.telemetry.cost_report import TotalsDiffer, report
from rom_core.turn_values import Usage

if TYPE_CHECKING:
    from rom_core.concurrency.clock import FakeClock
    from rom_core.ops.workload import Meter

_NOTES = (
    "Not measured on AWS: the bundled local Bedrock counted, whose token is four characters; the clock is simulated.",
)


def replayed_report(file: Path, root: Path, model: str) -> dict[str, Any]:
    """The report of GET /admin/cost over the replay with caching, and `replayed`: what both replays came to.

    Raises InvalidWorkload, OSError, InvalidSettings, and TotalsDiffer unless the replay without caching cost what the
    tokens of the one with caching cost without it.
    """
    work = read_workload(file)
    off, on = (replay(work, local_meter, root=root, model=model, caching=caching) for caching in (False, True))
    found, without = report(on.turns, on.models), report(off.turns, off.models)
    claimed, paid = found["without_caching"]["usd"], without["total"]["usd"]
    if not math.isclose(claimed, paid, rel_tol=1e-9, abs_tol=1e-7):
        raise TotalsDiffer(f"without caching the replay cost {paid} USD, the report says {claimed}")
    change = round(100 * (found["total"]["usd"] / paid - 1), 2) if paid else None
    sides = {"model": _model(on), "without_caching_usd": paid, "with_caching_usd": found["total"]["usd"]}
    notes = [*_NOTES, *found["notes"]]
    return {"workload": str(file), "replayed": {**sides, "change_percent": change}, **found, "notes": notes}


def local_meter(clock: FakeClock) -> Meter:
    """Counts by the local Bedrock's own rules, after its checks."""
    from local_bedrock.models import ModelInfo, resolve_model
    from local_bedrock.usage import UsageMeter
    from local_bedrock.validation import validate

    meter = UsageMeter(clock)

    def measure(model_id: str, body: dict[str, Any], output_tokens: int) -> Usage:
        model = resolve_model(model_id)
        refused = model if not isinstance(model, ModelInfo) else validate(model_id, "ConverseStream", body)
        if not isinstance(model, ModelInfo) or refused is not None:
            raise InvalidWorkload(f"the local Bedrock does not take this of {model_id}: {refused}")
        found = meter.measure(model_id, model, body, output_tokens)
        hour = sum(part["inputTokens"] for part in found.get("cacheDetails", ()) if part["ttl"] == "1h")
        return Usage(
            found["inputTokens"],
            found["outputTokens"],
            found["cacheReadInputTokens"],
            found["cacheWriteInputTokens"],
            hour,
        )

    return measure


def _model(found: Replayed) -> str:
    return found.turns[0].asked.alias
