"""A new plugin as a distribution of its own: what is installed beside rom-agent, with nothing of it in the clone."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rom_core
from rom_core.ops.scaffold import PLUGIN, CannotCreate, names, refuse_taken

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{title}, a plugin of ROM Agent"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["rom-agent>={release}"]

[project.optional-dependencies]
test = ["mypy", "pytest>=9.2", "ruff"]

# The name is the plugin's in PLUGINS, in logs and in `rom plugins`.
[project.entry-points."rom.plugins"]
{name} = "{package}:{cls}"

[tool.setuptools.package-data]
{package} = ["py.typed"]

[tool.mypy]
strict = true
files = ["src", "tests"]

[tool.pytest.ini_options]
testpaths = ["tests"]
filterwarnings = ["error"]

[tool.ruff]
line-length = 120
"""
_TEST = '''\
"""The plugin {name}, in the whole app and as a server would find it: through its entry point."""

from __future__ import annotations

from local_bedrock import LocalBedrock, reply
from rom_core.testing import MakeApp

from {package} import amended

OURS = {{"text": "You answer."}}
TEXT = "Be brief."


def test_blank_text_adds_nothing() -> None:
    """Only text that says something becomes a block."""
    assert amended([OURS], " ") == [OURS]


def test_the_text_stands_behind_the_system_prompt(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The model reads the system prompt first, then the plugin's text; the person gets the model's answer."""
    bedrock_local.script(reply("Sim."))
    app = rom_app({switch}=True, {upper}_TEXT=TEXT)
    assert app.chat("Posso?")["reply"] == "Sim."
    texts = [block["text"] for block in bedrock_local.requests[0].body["system"] if "text" in block]
    assert texts[-1] == TEXT


def test_switched_off_it_changes_nothing(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The switch alone decides."""
    rom_app({switch}=False, {upper}_TEXT=TEXT).chat("Posso?")
    assert {{"text": TEXT}} not in bedrock_local.requests[0].body["system"]
'''
_README = """\
# {distribution}

{title}: says in one sentence what it does for whom. A plugin of ROM Agent.

| setting | default | |
|---|---|---|
| `{switch}` | off | the switch |
| `{upper}_TEXT` | empty | what is put behind the system prompt |

## Install

Into the environment that rom-agent is installed in:

```
python -m pip install .
```

`rom plugins` then lists `{name}`, off. Set `{switch}=true` where the server's settings are (`settings.toml`, `.env` or
the environment), or switch it on while the server runs: `rom flags set {switch}=true --reason "…"`.

## Work on it

```
{commands}
```

The second line is for an index that has rom-agent; else name its wheel, or `--editable` and a clone.

The fixtures `rom_app` (the whole app) and `bedrock_local` (the model service it asks) come with rom-agent. What hooks
there are, what they are given and what they may change is in its documentation: docs/plugins.md, docs/hooks.md and
docs/reference.md.
"""
_GITIGNORE = """\
.venv/
__pycache__/
*.egg-info/
build/
dist/
"""


def commands(ours: str | None = None) -> list[str]:
    """What makes the new distribution run, as shell commands in its folder, in order.

    `ours` is what pip is to install as rom-agent; None: what is installed here, from where it was.
    """
    ours = _installed_from() if ours is None else ours
    return [
        "python3 -m venv .venv",
        f".venv/bin/python -m pip install {ours}",
        ".venv/bin/python -m pip install --editable '.[test]'",
        ".venv/bin/python -m pytest",
        ".venv/bin/python -m mypy",
        ".venv/bin/rom plugins",
    ]


def _installed_from() -> str:
    """As pip has written it down (PEP 610): a clone, a wheel or an address; else the release, from an index."""
    try:
        noted = json.loads(distribution("rom-agent").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        noted = {}
    address = noted.get("url", "")
    if not address:
        return f"rom-agent=={rom_core.__version__}"
    place = unquote(urlsplit(address).path) if address.startswith("file:") else address
    return ("--editable " if noted.get("dir_info", {}).get("editable") else "") + shlex.quote(place)


def new_distribution(name: str, folder: Path) -> list[Path]:
    """Write a distribution `rom-<name>` with the plugin `name` into `folder`; the files written.

    Raises CannotCreate: a name that is no good or taken, or a folder that has something in it already.
    """
    fields = names(name)
    package = f"rom_{name}"
    fields |= {
        "distribution": package.replace("_", "-"),
        "package": package,
        "release": rom_core.__version__,
        # The page goes to others: it does not say where rom-agent is on this machine.
        "commands": "\n".join(commands("rom-agent")),
    }
    try:
        if folder.exists() and any(folder.iterdir()):
            raise CannotCreate(f"{folder} is not empty")
        refuse_taken(fields)
        texts = {
            folder / "pyproject.toml": _PYPROJECT.format_map(fields),
            folder / "README.md": _README.format_map(fields),
            folder / ".gitignore": _GITIGNORE,
            folder / "src" / package / "__init__.py": PLUGIN.format_map(fields),
            folder / "src" / package / "py.typed": "",
            folder / "tests" / f"test_{name}.py": _TEST.format_map(fields),
        }
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotCreate(f"{error.filename}: {error.strerror}") from None
    return list(texts)
