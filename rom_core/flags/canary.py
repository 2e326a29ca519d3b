"""The canary: other values of some flags, for a share of the traffic that stays the same from request to request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from rom_core.plugin.snapshot import Snapshot
from rom_core.settings import InvalidSettings, InvalidValue, Problem, Setting, given_value, thaw
from rom_core.settings.files import suggestion
from rom_core.store.overrides import CANARY
from rom_core.turn_values import ChatRequest

CANARY_PERCENT = "CANARY_PERCENT"
MAX_INCLUDED = 1000
MAX_FLAGS = 500
_MAX_CHARS = 256
_MEMBERS = ("flags", "include", "salt")


@dataclass(frozen=True, slots=True)
class CanaryBlock:
    """What an administrator says of a canary: `{"flags": {NAME: value}, "include": [key, …], "salt": "…"}`.

    `flags` are those it changes, checked. `include` names API keys that always see them (a client's `user` is its
    own word, so it opens nothing). Another `salt` draws another sample of the traffic.
    """

    flags: Mapping[str, Any]
    include: tuple[str, ...] = ()
    salt: str = ""

    @classmethod
    def parse(cls, raw: Any, declared: Mapping[str, Setting]) -> CanaryBlock:
        """Check a block. Raises InvalidSettings with every problem, named `canary` or `canary.<NAME>`."""
        if not isinstance(raw, Mapping):
            raise InvalidSettings([Problem(CANARY, "must be an object with the members flags, include and salt")])
        problems = [
            Problem(CANARY, f"unknown member {str(name)[:_MAX_CHARS]!r}{suggestion(name, _MEMBERS)}")
            for name in islice(raw, MAX_FLAGS)
            if name not in _MEMBERS
        ]
        given, flags = raw.get("flags", {}), {}
        if not isinstance(given, Mapping):
            problems.append(Problem(CANARY, "flags must be an object of names and values"))
            given = {}
        if len(given) > MAX_FLAGS:
            problems.append(Problem(CANARY, f"flags has {len(given)} members; {MAX_FLAGS} is the most"))
            given = {}
        for name, value in given.items():
            try:
                flags[name] = _flag(name, value, declared)
            except InvalidValue as error:
                problems.append(Problem(f"{CANARY}.{str(name)[:_MAX_CHARS]}", str(error)))
        include, salt = raw.get("include", []), raw.get("salt", "")
        if not isinstance(include, list | tuple) or len(include) > MAX_INCLUDED or not all(map(_is_name, include)):
            problems.append(Problem(CANARY, f"include must be a list of at most {MAX_INCLUDED} names of API keys"))
        if salt != "" and not _is_name(salt):
            problems.append(Problem(CANARY, f"salt must be text of at most {_MAX_CHARS} characters"))
        if problems:
            raise InvalidSettings(problems)
        return cls(MappingProxyType(flags), tuple(include), salt)

    def as_dict(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {"flags": thaw(self.flags), "include": list(self.include), "salt": self.salt}


@dataclass(frozen=True)
class Canary:
    """A canary in force: the snapshot that its share of the traffic sees, made with the stable one it belongs to."""

    snapshot: Snapshot
    block: CanaryBlock
    percent: int

    def takes(self, request: ChatRequest) -> bool:
        """Whether this request belongs to it.

        Sticky by API key and `user`, without a user by API key and `conversation_id`. Raising the percentage takes
        more in and sends nobody back.
        """
        if request.key_name and request.key_name in self.block.include:
            return True
        kind, identity = ("user", request.user) if request.user else ("conversation", request.conversation_id)
        return bucket(self.block.salt, request.key_name, kind, identity) < self.percent

    def numbered(self, version: int) -> Canary:
        """The same one, of this version of the settings."""
        return replace(self, snapshot=replace(self.snapshot, version=version))

    def as_dict(self) -> dict[str, Any]:
        """What an administrator said of it."""
        return self.block.as_dict()


def bucket(salt: str, key_name: str, kind: str, identity: str) -> float:
    """A number from [0, 100) that only depends on its arguments, evenly spread over identities."""
    text = json.dumps([salt, key_name, kind, identity])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) * 100 / (1 << 48)


def with_canary(
    stable: Snapshot, raw: Any, overrides: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Snapshot]
) -> Snapshot:
    """`stable` with the canary of the block `raw`; `make` builds a snapshot of these overrides.

    Raises InvalidSettings with every problem, named `canary` or `canary.<NAME>`.
    """
    block = CanaryBlock.parse(raw, stable.settings.declared)
    if not block.flags:
        return stable
    try:
        snapshot = make({**overrides, **block.flags})
    except InvalidSettings as error:
        raise InvalidSettings(
            Problem(f"{CANARY}.{problem.name}", problem.message) for problem in error.problems
        ) from error
    return replace(stable, canary=Canary(snapshot, block, snapshot.settings.CANARY_PERCENT))


def describe(block: Any) -> str | None:
    """A stored block in one line, for events: its flags, and only the number of keys."""
    if not isinstance(block, Mapping):
        return None
    flags, include = block.get("flags") or {}, block.get("include") or ()
    parts = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in flags.items()]
    return ", ".join([*parts, f"{len(include)} included"] if include else parts)


def _flag(name: str, value: Any, declared: Mapping[str, Setting]) -> Any:
    setting = declared.get(name)
    if setting is None:
        raise InvalidValue(f"unknown setting{suggestion(name, declared)}")
    if setting.secret or not setting.runtime:
        raise InvalidValue("cannot be changed at run time")
    if setting.scope != "turn":
        raise InvalidValue("holds for the whole process, so for all traffic: a canary cannot set it")
    if value is None or value == "":
        raise InvalidValue("has no value; leave out what the canary does not change")
    return given_value(setting, value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_CHARS
