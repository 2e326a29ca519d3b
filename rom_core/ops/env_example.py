"""`.env.example`: every declared setting with its type, default and help, ready to be copied and uncommented.

`python -m rom_core.ops.env_example` prints it; with `--check` it only tells whether the file is up to date.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rom_core.settings import ENVIRONMENTS, Setting, thaw

FILE = ".env.example"
_HEAD = f"""\
# Settings of ROM Agent as environment variables. Copy this file to .env and uncomment what you change; a variable of
# the process outranks .env, an override set at run time outranks both. Generated from what the core and its
# plugins declare: `make env-example` writes it anew.

# The environment: {", ".join(ENVIRONMENTS)}.
# ROM_ENV=development
"""
_WIDTH = 118


def env_example(settings: Iterable[Setting]) -> str:
    """The text of the file for these declarations, by plugin, in the order of declaration."""
    parts: dict[str | None, list[str]] = {}
    for setting in settings:
        parts.setdefault(setting.plugin, []).append(_entry(setting))
    text = _HEAD
    for plugin, entries in parts.items():
        text += f"\n# == {'the core' if plugin is None else f'plugin {plugin}'} ==\n\n" + "\n".join(entries)
    return text


def dotenv_value(value: Any) -> str:
    """How .env writes `value`, so that reading the file gives it back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(thaw(value), ensure_ascii=False)
    if text.isascii() and text.replace("_", "").replace("-", "").replace(".", "").isalnum():
        return text
    if text and "'" not in text and "\n" not in text and "\\" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"' if text else ""


def _entry(setting: Setting) -> str:
    facts = [setting.type.__name__]
    if setting.minimum is not None or setting.maximum is not None:
        low, high = setting.minimum, setting.maximum
        facts.append(f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}")
    if setting.choices is not None:
        facts.append("|".join(map(str, setting.choices)))
    if setting.secret:
        facts.append("secret")
    if setting.merge:
        facts.append("laid over the default")
    if not setting.runtime:
        facts.append("read at start")
    help_ = textwrap.wrap(f"{setting.help.rstrip('.')}. ({', '.join(facts)})", _WIDTH)
    value = {} if setting.merge else setting.default
    return "".join(f"# {line}\n" for line in help_) + f"# {setting.name}={dotenv_value(value)}\n"


def main(arguments: list[str], root: Path) -> int:
    """Print the file, or with --check compare; the exit code."""
    from rom_core.ops.reference import built_in

    text = env_example(built_in().settings)
    if arguments == ["--check"]:
        file = root / FILE
        if file.exists() and file.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{FILE} is out of date; run `make env-example`\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd()))
