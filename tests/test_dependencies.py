"""What the packages import is declared in setup.cfg: what another library brings may go with its next release."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("rom_core", "plugins", "local_bedrock")
# Only who tests with pytest loads these.
FOR_PYTEST = {"local_bedrock/pytest_plugin.py", "rom_core/testing.py"}


def names(requirements: str) -> set[str]:
    """The distributions that these lines require, in lower case, with hyphens."""
    return {re.split(r"[<>=!\[; ]", line)[0].lower().replace("_", "-") for line in requirements.split("\n") if line}


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def test_what_is_imported_is_declared() -> None:
    """Each import comes from a distribution that setup.cfg requires, or that an extra brings to who uses that."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    declared = names(config["options"]["install_requires"]) | names(extras["otel"]) | names(extras["load"])
    distributions = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for module in imported(path)
        if not declared & {name.lower().replace("_", "-") for name in distributions.get(module, ())}
        if not (module == "pytest" and str(path.relative_to(ROOT)) in FOR_PYTEST)
    }
    assert undeclared == set()
