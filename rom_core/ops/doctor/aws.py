"""Checks that ask AWS: who we are, whether the models are there, and whether we may stream from them.

Nothing here costs money: the request that tests the permission is one that the service must refuse as invalid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rom_core.ops.doctor.findings import FAIL, OK, WARN, Finding
from rom_core.ops.doctor.here import BEARER
from rom_core.ops.doctor.models import chain, not_in_use, unused_fallbacks
from rom_core.settings import Model, Settings
from rom_core.settings.residency import geography

# AWS refuses signatures that are more than five minutes off.
MAX_SKEW_SECONDS = 300
_NOTICEABLE_SKEW_SECONDS = 60
_CREDENTIAL_CODES = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_SIGN_IN = "`aws configure`, `aws sso login`, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
ClientFactory = Callable[[str], Any]


class Aws:
    """The checks. `clients` makes a boto3 client by service name, `credentials` are what boto3 found, None if nothing.

    `now` is the local time. `skew` is the difference to the service's clock in seconds, once an answer has told it.
    """

    def __init__(
        self, settings: Settings, clients: ClientFactory, credentials: Any, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._credentials = credentials
        self._now = now
        self.skew: float | None = None

    def findings(self, environ: Mapping[str, str]) -> Iterator[Finding]:
        """All checks that make sense with the credentials there are."""
        if BEARER not in environ:
            if self._credentials is None:
                yield Finding("credentials", FAIL, "no AWS credentials were found", _SIGN_IN)
                return
            yield self.identity()
        for model in chain(self._settings):
            yield from self.life_cycle(model)
            yield self.streaming(model)
        for model in unused_fallbacks(self._settings):
            for finding in (*self.life_cycle(model), self.streaming(model)):
                yield not_in_use(finding)
        yield from self.clock()

    def identity(self) -> Finding:
        """Whether AWS knows these credentials, and as whom."""
        found = f"credentials from {self._credentials.method}"
        answer, error = self._call(lambda: self._clients("sts").get_caller_identity())
        if error is None:
            return Finding("credentials", OK, f"{found}: {answer['Arn']}")
        return Finding("credentials", FAIL, f"{found}: {_reason(error)}", _SIGN_IN)

    def life_cycle(self, model: Model) -> Iterator[Finding]:
        """Whether the control plane lists the model, and for how long it still will."""
        name, profile = model.id, geography(model.id)
        if profile is not None and not name.startswith("arn:"):
            name = name.removeprefix(f"{profile}.")
        answer, error = self._call(lambda: self._clients("bedrock").get_foundation_model(modelIdentifier=name))
        if error is not None:
            code = _code(error)
            if code in ("ResourceNotFoundException", "ValidationException"):
                text = f"{model.alias}: {self._settings.AWS_REGION} has no model {name}"
                yield Finding("models", WARN, text, "correct its id in MODELS, or choose another region")
            elif code == "AccessDeniedException":
                text = f"{model.alias}: its life cycle is unknown"
                yield Finding("models", WARN, text, "allow bedrock:GetFoundationModel to be warned before its end")
            return
        life = answer["modelDetails"].get("modelLifecycle", {})
        if life.get("status") == "LEGACY":
            end = life.get("endOfLifeTime")
            until = f" until {end:%Y-%m-%d}" if isinstance(end, datetime) else ""
            yield Finding("models", WARN, f"{model.alias}: legacy, served{until}", "plan its successor in MODELS")

    def streaming(self, model: Model) -> Finding:
        """Whether ConverseStream is allowed and routed for the model: a request without a message says so."""

        def ask() -> Any:
            return self._clients("bedrock-runtime").converse_stream(modelId=model.id, messages=[])

        answer, error = self._call(ask)
        about, name = "streaming", model.alias
        if error is None:
            answer["stream"].close()
            return Finding(about, OK, f"{name}: ConverseStream answers")
        code, message = _code(error), str(error)
        if code == "ValidationException" and "on-demand throughput" in message:
            todo = "put an inference profile's id in MODELS, such as us.… or global.…"
            return Finding(about, FAIL, f"{name}: cannot be asked by its plain model id", todo)
        if code == "ValidationException" and "identifier" in message:
            return Finding(about, FAIL, f"{name}: there is no model {model.id}", "correct its id in MODELS")
        if code == "ValidationException":
            return Finding(about, OK, f"{name}: ConverseStream is allowed and the model is routed")
        if code == "ResourceNotFoundException":
            status = WARN if model.end_of_life else FAIL
            return Finding(about, status, f"{name}: no longer served, or not in this region", "replace it in MODELS")
        if code == "AccessDeniedException":
            todo = "allow bedrock:InvokeModelWithResponseStream, and accept the model's terms in the Bedrock console"
            return Finding(about, FAIL, f"{name}: access denied", todo)
        if code in _CREDENTIAL_CODES:
            return Finding(about, FAIL, f"{name}: the credentials are refused ({code})", _SIGN_IN)
        if code:
            return Finding(about, WARN, f"{name}: {_reason(error)}", "try again later")
        return Finding(about, FAIL, f"{name}: {_reason(error)}", "check network, proxy and AWS_REGION")

    def clock(self) -> Iterator[Finding]:
        """Whether the local clock is near enough to the service's; nothing if no answer told the time."""
        if self.skew is None:
            return
        text = f"the local clock differs from that of AWS by {abs(self.skew):.0f} s"
        if abs(self.skew) >= MAX_SKEW_SECONDS:
            yield Finding("clock", FAIL, text, "synchronise it: AWS refuses signatures more than five minutes off")
        elif abs(self.skew) >= _NOTICEABLE_SKEW_SECONDS:
            yield Finding("clock", WARN, text, "synchronise it (NTP)")
        else:
            yield Finding("clock", OK, text)

    def _call(self, function: Callable[[], Any]) -> tuple[Any, Exception | None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = function()
        except (BotoCoreError, ClientError, ValueError) as error:
            self._note_time(getattr(error, "response", {}))
            return None, error
        self._note_time(answer)
        return answer, None

    def _note_time(self, response: Mapping[str, Any]) -> None:
        date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is None:
            return
        try:
            answered_at = parsedate_to_datetime(date)
        except ValueError:
            return
        self.skew = (self._now() - answered_at).total_seconds()


def _code(error: Exception) -> str:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _reason(error: Exception) -> str:
    return _code(error) or f"{type(error).__name__}: {error}"
