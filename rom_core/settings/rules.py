"""What must hold between the settings of the core."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from rom_core.errors import RomError, family
from rom_core.settings.addresses import address_problem, is_loopback, origin_problem
from rom_core.settings.declared import Rule
from rom_core.settings.files import suggestion
from rom_core.settings.keys import OWN_NAMES, InvalidKeys, content_keys, parse_api_keys, weakness_of
from rom_core.settings.residency import FORM, anywhere, endpoint_region, leaves_residency, residency_problem
from rom_core.settings.settings import Settings

_RELAXED_ENVIRONMENTS = ("development", "testing")


def key_rules(name: str, *others: str) -> tuple[Rule, ...]:
    """What holds for a secret that opens routes, beside `others`: it cannot be guessed, and it is none of theirs.

    `name` is a setting of one key without a name, `others` may hold several, as API_KEYS.
    """

    def strong(settings: Settings) -> str | None:
        key = getattr(settings, name).strip()
        return None if not key or settings.environment in _RELAXED_ENVIRONMENTS else weakness_of(key)

    return Rule((name,), strong), *(Rule((name, other), _differ(name, other)) for other in others)


def _differ(one: str, other: str) -> Callable[[Settings], str | None]:
    def check(settings: Settings) -> str | None:
        try:
            keys, others = (set(parse_api_keys(getattr(settings, name)).values()) for name in (one, other))
        except InvalidKeys:
            return None  # the rule about that setting says so
        return (
            f"holds a key that is in {other} too: whoever has the one would have the other" if keys & others else None
        )

    return check


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
        try:
            parse_api_keys(getattr(settings, name), strong=settings.environment not in _RELAXED_ENVIRONMENTS)
        except InvalidKeys as error:
            return str(error)
        return None

    return check


def _no_name_of_ours(settings: Settings) -> str | None:
    try:
        names = parse_api_keys(settings.ADMIN_TOKEN)
    except InvalidKeys:
        return None  # the rule about that says so
    taken = next((name for name in names if name.lower() in OWN_NAMES), None)
    return f"{taken!r} is what the process itself is called in the history: give a person's name" if taken else None


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
    url = settings.BEDROCK_ENDPOINT_URL
    if url == "local" and settings.environment == "production":
        return "is 'local': a stand-in would answer people in production"
    if url in ("", "local"):
        return None
    reason = address_problem(url)
    return None if reason is None else f"is neither empty nor 'local', and {reason}"


def _residency_named(settings: Settings) -> str | None:
    if settings.DATA_RESIDENCY.strip():
        return residency_problem(settings.DATA_RESIDENCY)
    if settings.environment in _RELAXED_ENVIRONMENTS or _stays_here(settings.BEDROCK_ENDPOINT_URL):
        return None
    return f"{settings.environment} does not start without it: {FORM}; see docs/go-live.md"


def _models_stay(settings: Settings) -> str | None:
    if not settings.DATA_RESIDENCY.strip() or residency_problem(settings.DATA_RESIDENCY):
        return None
    region = endpoint_region(settings.BEDROCK_ENDPOINT_URL, settings.AWS_REGION)
    for model in settings.models.values():
        if model.end_of_life or region is None:
            continue
        reason = leaves_residency(settings.DATA_RESIDENCY, model.id, region)
        if reason is not None:
            return f"{model.alias}: {model.id} {reason}, and DATA_RESIDENCY is {settings.DATA_RESIDENCY!r}"
    return None


def _endpoint_tells_its_region(settings: Settings) -> str | None:
    text, endpoint = settings.DATA_RESIDENCY.strip(), settings.BEDROCK_ENDPOINT_URL
    if not text or anywhere(text) or endpoint_region(endpoint, settings.AWS_REGION) is not None:
        return None
    return (
        "its host does not tell where it is (bedrock-runtime.<region>.amazonaws.com does), and DATA_RESIDENCY is "
        f"{text!r}; where such an address is meant, write `any: <who decided>, <on what ground>`"
    )


def _stays_here(endpoint: str) -> bool:
    if endpoint in ("", "local"):
        return endpoint == "local"
    try:
        return is_loopback(urlsplit(endpoint).hostname or "")
    except ValueError:
        return False


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


def _content_keys(settings: Settings) -> str | None:
    try:
        content_keys(settings.CONTENT_KEY)
    except InvalidKeys as error:
        return str(error)
    return None


def _origins(settings: Settings) -> str | None:
    for origin in settings.CORS_ORIGINS:
        reason = None if origin == "*" else origin_problem(origin)
        if reason is not None:
            return f"{origin[:100]!r} {reason}"
    if "*" in settings.CORS_ORIGINS and not settings.API_KEYS:
        return "is `*`, and without API_KEYS every page that somebody opens could ask"
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
    Rule(("ADMIN_TOKEN",), _no_name_of_ours),
    Rule(("ADMIN_TOKEN", "API_KEYS"), _differ("ADMIN_TOKEN", "API_KEYS")),
    Rule(("MODEL_PRIMARY", "MODELS"), _primary_known),
    Rule(("MODEL_FALLBACKS", "MODELS"), _fallbacks_known),
    Rule(("MODEL_FALLBACKS", "MODEL_PRIMARY"), _fallbacks_differ),
    Rule(("BEDROCK_ENDPOINT_URL",), _endpoint),
    Rule(("DATA_RESIDENCY", "BEDROCK_ENDPOINT_URL"), _residency_named),
    Rule(("BEDROCK_ENDPOINT_URL", "DATA_RESIDENCY"), _endpoint_tells_its_region),
    Rule(("MODELS", "DATA_RESIDENCY", "AWS_REGION", "BEDROCK_ENDPOINT_URL"), _models_stay),
    Rule(("BEDROCK_CONNECT_TIMEOUT_SECONDS", "BEDROCK_READ_TIMEOUT_SECONDS"), _timeouts_in_order),
    Rule(("TURN_DEADLINE_SECONDS", "EXHAUSTIVE_DEADLINE_SECONDS"), _deadlines_in_order),
    Rule(("PLUGINS",), _plugins_once),
    Rule(("TEXT_ERRORS",), _error_texts),
    Rule(("CONTENT_KEY",), _content_keys),
    Rule(("CORS_ORIGINS", "API_KEYS"), _origins),
    *(Rule((name,), _not_blank(name)) for name in _TEXTS),
)
