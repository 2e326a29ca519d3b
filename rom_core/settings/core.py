"""The settings of the core itself. Every plugin declares its own, the same way."""

from __future__ import annotations

from typing import Any

from rom_core.settings import texts
from rom_core.settings.declared import Setting
from rom_core.settings.shipped import SHIPPED

_SHIPPED = SHIPPED["default"]


def _fixed(name: str, type_: type[Any], default: Any, help_: str, **more: Any) -> Setting:
    """A setting that is read once, when the process starts."""
    return Setting(name, type_, default, help_, runtime=False, scope="process", **more)


def _process(name: str, type_: type[Any], default: Any, help_: str, **more: Any) -> Setting:
    """A setting that is read from the newest snapshot, whichever turn asks."""
    return Setting(name, type_, default, help_, scope="process", **more)


_MODEL = (
    _process(
        "BEDROCK_ENABLED",
        bool,
        False,
        "Kill switch: when off, chat answers 503 and no request goes to Bedrock.",
    ),
    _fixed("AWS_REGION", str, "us-west-2", "AWS region of the Bedrock endpoint."),
    _fixed(
        "BEDROCK_ENDPOINT_URL",
        str,
        "",
        "Empty for AWS, `local` for the bundled local Bedrock (not in production), or a URL.",
    ),
    _fixed(
        "DATA_RESIDENCY",
        str,
        "",
        "Where models may process what people write: regions with commas, or `any: <who>, <ground>`.",
    ),
    _fixed(
        "BEDROCK_CONNECT_TIMEOUT_SECONDS",
        float,
        5.0,
        "Seconds to wait for a connection.",
        minimum=0.1,
        maximum=60,
    ),
    _fixed(
        "BEDROCK_READ_TIMEOUT_SECONDS",
        float,
        60.0,
        "Seconds of silence between two chunks.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "MODELS",
        list,
        _SHIPPED["MODELS"],
        "Table of models: alias, Bedrock id, capabilities, USD per million tokens.",
        item=dict,
        sensitive=True,
    ),
    Setting("MODEL_PRIMARY", str, _SHIPPED["MODEL_PRIMARY"], "Alias of the model that is asked first."),
    Setting(
        "MODEL_FALLBACKS",
        list,
        _SHIPPED["MODEL_FALLBACKS"],
        "Aliases of the models asked when the first one fails, in order.",
        item=str,
    ),
    Setting(
        "MAX_MODEL_REQUESTS",
        int,
        8,
        "Requests on the wire for one model call, retries and fallbacks together.",
        minimum=1,
        maximum=100,
    ),
    Setting("MAX_TOKENS", int, 4096, "Most tokens of one reply, unless the client asks for fewer.", minimum=1),
    _process(
        "CANARY_PERCENT",
        int,
        0,
        "Percent of traffic that sees the canary's flags, if there is a canary.",
        minimum=0,
        maximum=100,
    ),
    Setting(
        "SYSTEM_PROMPT",
        str,
        texts.SYSTEM_PROMPT,
        "System text; a client's own is appended to it.",
        sensitive=True,
    ),
    Setting(
        "CLOSING_INSTRUCTION",
        str,
        texts.CLOSING_INSTRUCTION,
        "Tells the model to answer now, from what it has.",
        sensitive=True,
    ),
)

_TURN = (
    Setting(
        "MAX_LOOPS_ABSOLUTE",
        int,
        100,
        "Iterations of the tool loop in one turn, at most.",
        minimum=1,
        maximum=1000,
    ),
    Setting(
        "TURN_DEADLINE_SECONDS",
        float,
        120.0,
        "Seconds for a turn, from acceptance on.",
        minimum=1,
        maximum=86400,
    ),
    Setting("EXHAUSTIVE_DEADLINE_SECONDS", float, 900.0, "The same for mode exhaustive.", minimum=1, maximum=86400),
    Setting(
        "TOOL_TIMEOUT_SECONDS",
        float,
        30.0,
        "Seconds for one run of a tool that names no own.",
        minimum=0.1,
        maximum=3600,
    ),
    _fixed("TOOL_THREADS", int, 16, "Threads that run tools, for all turns together.", minimum=1, maximum=256),
    Setting("MAX_TOOL_RESULT_CHARS", int, 20000, "Characters of a tool's result that the model sees.", minimum=100),
    Setting("TEXT_CUT_SHORT", str, texts.CUT_SHORT, "Shown when a stopped turn could not be closed by the model."),
    Setting("TEXT_EMPTY_REPLY", str, texts.EMPTY_REPLY, "Shown when the model answers without text."),
    Setting("TEXT_MAX_TOKENS", str, texts.MAX_TOKENS, "Shown when MAX_TOKENS ended an answer without text."),
    Setting(
        "TEXT_CONTEXT_TOO_LONG",
        str,
        texts.CONTEXT_TOO_LONG,
        "Shown when the conversation does not fit the model.",
    ),
    Setting("TEXT_FILTERED", str, texts.FILTERED, "Shown when a content filter removed the answer."),
    _process(
        "TEXT_ERRORS",
        dict,
        texts.ERRORS,
        "What a person is told who meets an error: `user_message` by error code.",
        merge=True,
    ),
)

_SERVER = (
    _fixed("HOST", str, "127.0.0.1", "Address to listen on; beyond loopback only with API_KEYS."),
    _fixed("PORT", int, 8000, "Port to listen on, 0 for any free one.", minimum=0, maximum=65535),
    _fixed(
        "HTTP_THREADS",
        int,
        32,
        "Threads that serve HTTP; 12 of them never take a turn.",
        minimum=13,
        maximum=1024,
    ),
    _fixed(
        "TRUSTED_PROXY_COUNT",
        int,
        0,
        "Proxies in front of the server whose X-Forwarded-For is believed; 0 believes none.",
        minimum=0,
        maximum=10,
    ),
    _fixed("MAX_BODY_BYTES", int, 1024 * 1024, "Largest request body, attachments apart, in bytes.", minimum=1024),
    _fixed(
        "MAX_ATTACHMENT_BYTES",
        int,
        32 * 1024 * 1024,
        "Largest body of a chat with attachments, as it is sent, in bytes.",
        minimum=1024,
    ),
    Setting(
        "SSE_HEARTBEAT_SECONDS",
        float,
        10.0,
        "Seconds of silence before a stream sends a comment.",
        minimum=0.1,
        maximum=300,
    ),
    _process(
        "SHUTDOWN_GRACE_SECONDS",
        float,
        240.0,
        "Seconds that turns may go on after SIGTERM.",
        minimum=0,
        maximum=3600,
    ),
    _process(
        "SHUTDOWN_LINGER_SECONDS",
        float,
        2.0,
        "Seconds to wait for one more scrape of /metrics after the last turn, within the grace.",
        minimum=0,
        maximum=600,
    ),
    _process("MEMORY_LIMIT_MB", int, 0, "Memory this process may use, in MiB; 0 = the container's limit.", minimum=0),
    _process(
        "API_KEYS",
        str,
        "",
        "Keys of clients: one, several with commas, or name=key pairs; each of 32 characters or more.",
        secret=True,
    ),
    _process("ADMIN_TOKEN", str, "", "Keys of administrators, written alike; none closes /admin.", secret=True),
    _fixed(
        "CONTENT_KEY",
        str,
        "",
        "Keys that encrypt content in the store, with commas: the first one encrypts, all decrypt; none: as it is.",
        secret=True,
    ),
    _fixed(
        "ALLOW_UNAUTHENTICATED",
        bool,
        False,
        "Lets staging and production start without API_KEYS, on loopback.",
    ),
    _fixed(
        "ALLOWED_HOSTS",
        list,
        (),
        "Names besides localhost under which a server without API_KEYS may be addressed; `*` for any.",
        item=str,
    ),
    _process(
        "CORS_ORIGINS",
        list,
        (),
        "Origins of pages that may ask from a browser, as `https://app.example`; `*` for any, with API_KEYS.",
        item=str,
        sensitive=True,
    ),
    _fixed("STATE_DIR", str, "var", "Folder of what must survive a restart, relative to the project's."),
    _fixed(
        "STATE_URL",
        str,
        "",
        "Database of what must survive a restart: empty for rom.db in STATE_DIR, or postgresql://… for a fleet.",
        secret=True,
    ),
    _process(
        "LOG_LEVEL",
        str,
        "INFO",
        "Least severity that is logged.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    ),
    _fixed("LOG_FORMAT", str, "json", "How log lines are written.", choices=("json", "console")),
    _fixed(
        "PLUGINS",
        list,
        _SHIPPED["PLUGINS"],
        "Order of the plugins, outermost first; others come innermost, by name.",
        item=str,
    ),
)

CORE_SETTINGS: tuple[Setting, ...] = (*_MODEL, *_TURN, *_SERVER)
