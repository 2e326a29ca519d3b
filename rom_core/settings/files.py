"""The settings files: where they are, what they say in every section, and what nobody could mean.

Each file is read as a whole, every section of it: a mistake in [production] is found in development too.
"""

from __future__ import annotations

import difflib
import io
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynaconf.vendor.dotenv.parser import parse_stream

from rom_core.settings.declared import Setting, is_setting_name
from rom_core.settings.problems import Problem
from rom_core.settings.values import InvalidValue, check_value

ENVIRONMENTS = ("development", "testing", "staging", "production")
SECTIONS = ("default", *ENVIRONMENTS)
SETTINGS_FILE = "settings.toml"
# In dynaconf's own order, later wins.
TOML_FILES = (SETTINGS_FILE, ".secrets.toml", "settings.local.toml", ".secrets.local.toml")
DOTENV_FILE = ".env"
# Editors on Windows put a byte order mark before UTF-8 text, which would become part of the first name.
ENCODING = "utf-8-sig"
SWITCH_SUFFIX = "_ENABLED"
# OpenTelemetry's own variables, of which there are many and which resemble each other.
_STANDARD_PREFIX = "OTEL_"
_DOTENV_NEARNESS = 0.85
_PROCESS_NAMES = ("ROM_ENV", "ROM_HOME")
# Names of ours are ASCII: anything else in one is a blank, a joiner, a filler, or a letter that looks like ours.
_VISIBLE = re.compile(r"[!-~]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One assignment in a TOML file."""

    file: str
    section: str
    name: str
    value: Any

    @property
    def layer(self) -> str:
        """The layer's name, as `Settings.source` gives it."""
        return toml_layer(self.file, self.section)


@dataclass(frozen=True, slots=True)
class TomlFiles:
    """All TOML files: their entries, what is wrong with their form, and whether all could be read."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    readable: bool


@dataclass(frozen=True, slots=True)
class Dotenv:
    """The file .env, read: raw text by name, and what is wrong with its form."""

    values: Mapping[str, str]
    problems: tuple[Problem, ...]


def toml_layer(file: str, section: str) -> str:
    """The layer's name: only settings.toml is large enough for its sections to be named."""
    return f"{file} [{section}]" if file == SETTINGS_FILE else file


def read_toml_files(root: Path) -> TomlFiles:
    """Read every TOML file of settings under `root`; a missing one is an empty one."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    readable = True
    for name in TOML_FILES:
        text = ""
        try:
            text = (root / name).read_bytes().decode(ENCODING)
            content = tomllib.loads(text)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            problems.append(Problem(name, _unreadable(error, text)))
            readable = False
            continue
        problems += _misplaced(name, content)
        entries += [
            Entry(name, section, key, value)
            for section in SECTIONS
            if isinstance(content.get(section), dict)
            for key, value in content[section].items()
        ]
    return TomlFiles(tuple(entries), tuple(problems), readable)


def read_dotenv(root: Path) -> Dotenv:
    """Read .env under `root`, as text and without looking at the process's environment; missing is empty.

    `${NAME}` stands for itself: dynaconf's reader would fill it in from `os.environ`, and a password may
    contain it.
    """
    try:
        text = (root / DOTENV_FILE).read_bytes().decode(ENCODING)
    except FileNotFoundError:
        return Dotenv({}, ())
    except (OSError, ValueError) as error:
        return Dotenv({}, (Problem(DOTENV_FILE, _unreadable(error)),))
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for binding in parse_stream(io.StringIO(text)):  # type: ignore[no-untyped-call]  # dynaconf is not typed
        if binding.error:
            written = binding.original.string
            blank = written[: len(written) - len(written.lstrip())]
            line = binding.original.line + blank.count("\n")
            problems.append(Problem(DOTENV_FILE, f"line {line} is not NAME=value"))
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return Dotenv(values, tuple(problems))


def files_of(root: Path) -> list[str]:
    """The settings files that there are under `root`, in the order of reading, later wins."""
    return [name for name in (*TOML_FILES, DOTENV_FILE) if (root / name).exists()]


def check_entries(entries: Iterable[Entry], known: Mapping[str, Setting]) -> Iterator[Problem]:
    """What is wrong with the entries, in whatever section: unknown names, and values that do not fit."""
    for entry in entries:
        setting = known.get(entry.name)
        if setting is None:
            yield Problem(entry.name, f"{entry.layer}: {_unknown(entry.name, known)}")
            continue
        try:
            check_value(setting, entry.value)
        except InvalidValue as error:
            yield Problem(entry.name, f"{entry.layer}: {error}")


def check_dotenv_names(names: Iterable[str], known: Mapping[str, Setting]) -> Iterator[Problem]:
    """Names in .env that miss one of ours. Other programs keep variables there too, which are left alone."""
    for name in names:
        if name in known or name == "ROM_ENV" or name.startswith(_STANDARD_PREFIX):
            continue
        near = name.upper() in known or difflib.get_close_matches(name, known, n=1, cutoff=_DOTENV_NEARNESS)
        if near or name.endswith(SWITCH_SUFFIX):
            yield Problem(name, f"{DOTENV_FILE}: {_unknown(name, known)}")


def check_visible(layer: str, names: Iterable[str], known: Mapping[str, Setting]) -> Iterator[Problem]:
    """Names that are ours but for characters nobody sees: what they say would count for nothing, and nobody would know.

    ROM_ENV of that kind would make production start as development.
    """
    for name in names:
        seen = "".join(filter(_VISIBLE.match, name))
        if seen != name and (seen in known or seen in _PROCESS_NAMES):
            yield Problem(seen, f"{layer}: its name holds a character that cannot be seen: {name!a}; write it anew")


def undeclared_switches(names: Iterable[str], known: Mapping[str, Setting]) -> dict[str, Setting]:
    """A stand-in declaration for every name that looks like a plugin's switch and that nobody declared."""
    return {
        name: Setting(name, bool, False, "Switch of a plugin that is not installed.", switch=True)
        for name in sorted(set(names) - set(known))
        if name.endswith(SWITCH_SUFFIX) and is_setting_name(name)
    }


_MAX_NAME_CHARS = 100


def suggestion(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean X?` for the candidate nearest to `name` in any case, or nothing; nor for a very long one."""
    if len(name) > _MAX_NAME_CHARS:
        return ""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def _unknown(name: str, known: Mapping[str, Setting]) -> str:
    if name == "ROM_ENV":
        return "the environment is chosen in .env or in the process's environment, not here"
    return f"unknown setting{suggestion(name, known)}"


def _unreadable(error: OSError | ValueError, text: str = "") -> str:
    if isinstance(error, tomllib.TOMLDecodeError):
        last = text.count("\n") + 1
        return f"is not valid TOML: {error}".replace("(at end of document)", f"(at line {last}, the last one)")
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b"\n") + 1
        return f"is not UTF-8 text (at line {line})"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _misplaced(file: str, content: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in content.items():
        if not isinstance(value, dict):
            yield Problem(key, f"{file}: stands before any section; put it under [default]")
        elif key not in SECTIONS:
            yield Problem(f"[{key}]", f"{file}: unknown section{suggestion(key, SECTIONS)}")
