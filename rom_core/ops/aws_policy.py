"""The IAM policies of exactly what is called: one for the service, one for `rom doctor`.

`python -m rom_core.ops.aws_policy [ACCOUNT]` prints both, for the models and the region that are configured in this
folder. Rules: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html (a profile needs the
models behind it too, in every region it may go to) and …/global-cross-region-inference.html (a global profile also goes
to the model without a region, for which aws:RequestedRegion is "unspecified").
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rom_core.settings import Settings
from rom_core.settings.residency import geography

ACTIONS = {
    "converse_stream": "bedrock:InvokeModelWithResponseStream",
    "count_tokens": "bedrock:CountTokens",
    "get_foundation_model": "bedrock:GetFoundationModel",
    # GetCallerIdentity needs no permission.
    "get_caller_identity": "",
}
"""The IAM action that each call of boto3 in this code needs."""
# The regions of a geography that a profile may go to, as a pattern; the condition on the profile narrows it further.
_REGIONS = {
    "us": ("us-*", "ca-*"),
    "eu": ("eu-*",),
    "apac": ("ap-*",),
    "au": ("ap-southeast-*",),
    "jp": ("ap-northeast-*",),
}
_EXAMPLE_ACCOUNT = "123456789012"


def service_policy(model_ids: Sequence[str], region: str, account: str) -> dict[str, Any]:
    """What serving needs: streaming from these models, each only by the inference profile that is configured for it,
    and counting tokens, which takes models and no profiles.

    An id that is a whole ARN stands as it is; what is behind an application inference profile is for its owner to add.
    """
    action = ACTIONS["converse_stream"]
    statements: list[dict[str, Any]] = []
    for model_id in dict.fromkeys(model_ids):
        where = geography(model_id)
        if model_id.startswith("arn:"):
            statements.append(_allow(action, [model_id]))
        elif where is None:
            statements.append(_allow(action, [f"arn:aws:bedrock:{region}::foundation-model/{model_id}"]))
        else:
            model = model_id.removeprefix(f"{where}.")
            profile = f"arn:aws:bedrock:{region}:{account}:inference-profile/{model_id}"
            regions = (region, "") if where == "global" else _REGIONS.get(where, ("*",))
            models = [f"arn:aws:bedrock:{place}::foundation-model/{model}" for place in regions]
            statements.append(_allow(action, [profile]))
            condition = {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
            statements.append(_allow(action, models) | {"Condition": condition})
    if models := _foundation_models(model_ids, region):
        statements.append(_allow(ACTIONS["count_tokens"], models))
    return {"Version": "2012-10-17", "Statement": statements}


def doctor_policy(model_ids: Sequence[str], region: str, account: str) -> dict[str, Any]:
    """What `rom doctor` needs: the same, and to read of each model how long it is served."""
    policy = service_policy(model_ids, region, account)
    models = _foundation_models(model_ids, region)
    return policy | {"Statement": [*policy["Statement"], _allow(ACTIONS["get_foundation_model"], models)]}


def _foundation_models(model_ids: Sequence[str], region: str) -> list[str]:
    """The ARNs of the models behind these ids in `region`, each once; what is an ARN already is left out."""
    names = {model_id: geography(model_id) for model_id in model_ids if not model_id.startswith("arn:")}
    plain = dict.fromkeys(name.removeprefix(f"{where}.") if where else name for name, where in names.items())
    return [f"arn:aws:bedrock:{region}::foundation-model/{name}" for name in plain]


def policies(settings: Settings, account: str = _EXAMPLE_ACCOUNT) -> dict[str, str]:
    """Both as texts of JSON, by file name, for every row of MODELS."""
    ids = [model.id for model in settings.models.values()]
    made = {"service-policy.json": service_policy, "doctor-policy.json": doctor_policy}
    return {name: json.dumps(make(ids, settings.AWS_REGION, account), indent=2) + "\n" for name, make in made.items()}


def _allow(action: str, resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [action], "Resource": resources}


def main(arguments: list[str]) -> int:
    """Print both for an account; without one, for the account of AWS's own examples."""
    from rom_core import hookspecs
    from rom_core.plugin.catalogue import Catalogue
    from rom_core.settings import load_settings

    account = arguments[0] if arguments else _EXAMPLE_ACCOUNT
    if not (account.isdecimal() and len(account) == len(_EXAMPLE_ACCOUNT)):
        sys.stderr.write("an AWS account is a number of 12 digits\n")
        return 2
    settings = load_settings(Catalogue.installed(hookspecs).settings, root=Path.cwd(), environ=dict(os.environ))
    for name, text in policies(settings, account).items():
        sys.stdout.write(f"{name}\n{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
