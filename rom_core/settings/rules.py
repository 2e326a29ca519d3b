"""What must hold between the settings of the core."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from rom_core.errors import RomError, family
from rom_core.settings.declared import Rule
from rom_core.settings.files import suggestion
from rom_core.settings.keys import MIN_KEY_CHARS, InvalidKeys, parse_api_keys
from rom_core.settings.settings import Settings

_RELAXED_ENVIRONMENTS = ("development", "testing")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, an address or `localhost`; other names are not looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _loopback_without_keys(settings: Settings) -> str | None:
    if settings.API_KEYS.strip() or is_loopback(settings.HOST):
        return None
    return f"without API_KEYS the server listens on loopback only, not on {settings.HOST!r}"


def _keys_where_it_counts(settings: Settings) -> str | None:
    if settings.environment in _RELAXED_ENVIRONMENTS or settings.API_KEYS.strip() or settings.ALLOW_UNAUTHENTICATED:
        return None
    return f"{settings.environment} does not start without keys, unless ALLOW_UNAUTHENTICATED is true"


def _usable_keys(name: str) -> Callable[[Settings], str | None]:
    def check(settings: Settings) -> str | None:
        minimum = 1 if settings.environment in _RELAXED_ENVIRONMENTS else MIN_KEY_CHARS
        try:
            parse_api_keys(getattr(settings, name), minimum=minimum)
        except InvalidKeys as error:
            return str(error)
        return None

    return check


def _primary_known(settings: Settings) -> str | None:
    return _unknown_alias(settings, settings.MODEL_PRIMARY)


def _fallbacks_known(settings: Settings) -> str | None:
    wrong = (_unknown_alias(settings, alias) for alias in settings.MODEL_FALLBACKS)
    return next((message for message in wrong if message), None)


def _fallbacks_differ(settings: Settings) -> str | None:
    chain = (settings.MODEL_PRIMARY, *settings.MODEL_FALLBACKS)
    twice = next((alias for n, alias in enumerate(chain) if alias in chain[:n]), None)
    if twice is None:
        return None
    return f"{twice!r} is MODEL_PRIMARY" if twice == settings.MODEL_PRIMARY else f"{twice!r} is named twice"


def _unknown_alias(settings: Settings, alias: str) -> str | None:
    if alias in settings.models:
        return None
    return f"{alias!r} is not an alias in MODELS{suggestion(alias, settings.models)}"


def _endpoint(settings: Settings) -> str | None:
    if settings.BEDROCK_ENDPOINT_URL in ("", "local"):
        return None
    try:
        url = urlsplit(settings.BEDROCK_ENDPOINT_URL)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    return None if usable else "must be empty, 'local', or a URL such as https://host:port"


def _timeouts_in_order(settings: Settings) -> str | None:
    connect, read = settings.BEDROCK_CONNECT_TIMEOUT_SECONDS, settings.BEDROCK_READ_TIMEOUT_SECONDS
    return f"is {connect:g}, longer than BEDROCK_READ_TIMEOUT_SECONDS, {read:g}" if connect > read else None


def _deadlines_in_order(settings: Settings) -> str | None:
    turn, exhaustive = settings.TURN_DEADLINE_SECONDS, settings.EXHAUSTIVE_DEADLINE_SECONDS
    return f"is {turn:g}, longer than EXHAUSTIVE_DEADLINE_SECONDS, {exhaustive:g}" if turn > exhaustive else None


def _plugins_once(settings: Settings) -> str | None:
    names = settings.PLUGINS
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"names a plugin twice: {', '.join(twice)}" if twice else None


def _error_texts(settings: Settings) -> str | None:
    known = {error.code for error in family(RomError)}
    for code, text in settings.TEXT_ERRORS.items():
        if code not in known:
            return f"{code!r} is not the code of an error{suggestion(code, known)}"
        if not isinstance(text, str) or not text.strip():
            return f"{code}: must be a sentence for a person"
        if "{" in text or "}" in text:
            return f"{code}: holds a brace, and nothing is filled in here"
    return None


def _not_blank(name: str) -> Callable[[Settings], str | None]:
    def check(settings: Settings) -> str | None:
        return None if getattr(settings, name).strip() else "must not be blank"

    return check


_TEXTS = (
    "CLOSING_INSTRUCTION",
    "TEXT_CUT_SHORT",
    "TEXT_EMPTY_REPLY",
    "TEXT_MAX_TOKENS",
    "TEXT_CONTEXT_TOO_LONG",
    "TEXT_FILTERED",
    "AWS_REGION",
    "STATE_DIR",
)

CORE_RULES: tuple[Rule, ...] = (
    Rule(("HOST", "API_KEYS"), _loopback_without_keys),
    Rule(("API_KEYS", "ALLOW_UNAUTHENTICATED"), _keys_where_it_counts),
    Rule(("API_KEYS",), _usable_keys("API_KEYS")),
    Rule(("ADMIN_TOKEN",), _usable_keys("ADMIN_TOKEN")),
    Rule(("MODEL_PRIMARY", "MODELS"), _primary_known),
    Rule(("MODEL_FALLBACKS", "MODELS"), _fallbacks_known),
    Rule(("MODEL_FALLBACKS", "MODEL_PRIMARY"), _fallbacks_differ),
    Rule(("BEDROCK_ENDPOINT_URL",), _endpoint),
    Rule(("BEDROCK_CONNECT_TIMEOUT_SECONDS", "BEDROCK_READ_TIMEOUT_SECONDS"), _timeouts_in_order),
    Rule(("TURN_DEADLINE_SECONDS", "EXHAUSTIVE_DEADLINE_SECONDS"), _deadlines_in_order),
    Rule(("PLUGINS",), _plugins_once),
    Rule(("TEXT_ERRORS",), _error_texts),
    *(Rule((name,), _not_blank(name)) for name in _TEXTS),
)
