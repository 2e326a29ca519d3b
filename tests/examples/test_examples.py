"""The distributions under examples/ work as they are: each is installed, tested and type-checked by itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))


def run(*command: str | Path, cwd: Path) -> str:
    """Run it to its end, without any network; what it prints."""
    environ = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy(name: str, folder: Path) -> Path:
    """The example without what may have grown in it."""
    ignored = shutil.ignore_patterns(".venv", "build", "*.egg-info", "__pycache__", ".*_cache")
    return Path(shutil.copytree(EXAMPLES / name, folder / name, ignore=ignored))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_it_works_in_an_environment_of_its_own(name: str, tmp_path: Path) -> None:
    """Installed beside rom-agent, with nothing but what it says it needs, its own tests pass; its switch is known."""
    folder = copy(name, tmp_path)
    venv.create(folder / ".venv", with_pip=False)
    (own,) = (folder / ".venv").glob("lib/*/site-packages")
    # What `make test` has installed stands behind it, rom-agent itself included; nothing is fetched.
    (own / "behind.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    python = folder / ".venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-build-isolation", ".", cwd=folder)
    told = run(python, "-m", "pytest", "-q", cwd=folder)
    assert re.search(r"^\d+ passed in ", told, re.MULTILINE), told
    plugin = name.replace("-", "_")
    assert f"{plugin}: off" in run(python, "-m", "rom_core", "plugins", cwd=folder)
    for required in re.findall(r"^(\S+?)[<>=]", "\n".join(_project(name)["dependencies"]), re.MULTILINE):
        run(python, "-m", "pip", "show", "--quiet", required, cwd=folder)


@pytest.mark.timeout(300)
def test_mypy_is_content_with_all_of_them_in_strict_mode(tmp_path: Path) -> None:
    """One after the other, for what it has read of rom_core serves all."""
    for name in NAMES:
        told = run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", cwd=copy(name, tmp_path))
        assert told.startswith("Success: no issues found"), told


@pytest.mark.parametrize("name", NAMES)
def test_its_page_names_its_settings_and_it_is_in_the_list(name: str) -> None:
    """A reader finds each example, and each setting of it."""
    code = "".join(path.read_text(encoding="utf-8") for path in (EXAMPLES / name / "src").rglob("*.py"))
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    settings = re.findall(r'Setting\(\s*"(\w+)"', code)
    assert settings
    assert [setting for setting in settings if f"| `{setting}` |" not in page] == []
    assert f"]({name}/README.md)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert "says in one sentence" not in page + code


def _project(name: str) -> dict[str, list[str]]:
    text = (EXAMPLES / name / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, list[str]] = tomllib.loads(text)["project"]
    return project
