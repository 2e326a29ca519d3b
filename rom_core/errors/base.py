"""The base of all errors, and those that mean that the process cannot do its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class RomError(Exception):
    """Base of all errors that have a defined HTTP answer.

    `retry_after` is in seconds. `should_retry` tells official clients whether to try again (`x-should-retry`);
    None leaves it to them. `members` are added to the body of the answer (RFC 9457, 3.2: extension members).
    """

    code: ClassVar[str] = "internal_error"
    status: int = 500
    title: str = "Internal error"
    retryable: bool = False
    should_retry: bool | None = None
    members: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, detail: str = "", *, retry_after: float | None = None, param: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.param = param

    def explain(self, more: str) -> None:
        """Say more about it, in a sentence after the detail."""
        self.detail = f"{self.detail.rstrip()}\n{more}"
        self.args = (self.detail,)


def family(base: type[RomError]) -> Iterator[type[RomError]]:
    """`base` and every class below it."""
    yield base
    for below in base.__subclasses__():
        yield from family(below)


class ConfigurationError(RomError):
    """The process cannot start like this; the text says what to change."""

    title = "Invalid configuration"


class PluginError(ConfigurationError):
    """A plugin cannot be used: it does not import, or it breaks the contract of hookspecs."""

    def __init__(self, plugin: str, reason: str) -> None:
        super().__init__(f"plugin {plugin!r}: {reason}")
        self.plugin = plugin
        self.reason = reason


class StoreRefused(RomError):
    """The process does not start with this store; the text says what is wrong, where, and what to do."""

    title = "The store cannot be used"


class InternalError(RomError):
    """Something failed that nobody foresaw; the log has the cause under the same trace id."""

    should_retry = False
