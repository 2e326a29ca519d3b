"""A clone with a bare remote, both in a temporary folder, and the project's scripts run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

SCRIPTS = Path(__file__).parents[1] / "scripts"


class Clone:
    """A working tree on branch main, with a version 1.2.3 committed and pushed."""

    def __init__(self, folder: Path, name: str = "clone") -> None:
        self._place(folder, name)
        if not self.remote.exists():
            self._run("git", "init", "-q", "--bare", "-b", "main", str(self.remote), cwd=folder)
        self._run("git", "clone", "-q", str(self.remote), str(self.path), cwd=folder)

    def copy(self, folder: Path) -> Clone:
        """The same in another folder, with a copy of the remote: much quicker than made anew."""
        other = Clone.__new__(Clone)
        other._place(folder, self.path.name)
        shutil.copytree(self.remote, other.remote)
        shutil.copytree(self.path, other.path)
        config = other.path / ".git" / "config"
        config.write_text(config.read_text().replace(str(self.remote), str(other.remote)))
        return other

    def _place(self, folder: Path, name: str) -> None:
        self.remote = folder / "remote.git"
        self.path = folder / name
        self.backups = folder / "backups"

    def commit(self, name: str, text: str) -> str:
        """Write one file and commit it; the commit's id."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)
        self.git("add", name)
        self.git("commit", "-q", "-m", f"{name}: {text.strip()}")
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Main, to the remote."""
        self.git("push", "-q", "origin", "main")

    def git(self, *arguments: str) -> str:
        """What git answers; it must succeed."""
        done = self._run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def at_remote(self, ref: str) -> str:
        """The id of a commit, tag or tree at the remote."""
        done = self._run("git", "rev-parse", "--verify", ref, cwd=self.remote)
        return done.stdout.strip()

    def script(self, name: str, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts to its end."""
        return self._run("bash", str(SCRIPTS / name), *arguments, stdin=stdin, environ=environ)

    def git_in_the_way(self, words: str, action: str) -> str:
        """A PATH with a git that first does `action` (shell) when it is called with these words, and then goes on."""
        folder = self.path.parent / "bin"
        folder.mkdir()
        script = folder / "git"
        script.write_text(
            f'#!/bin/sh\nPATH=${{PATH#*:}}\ncase " $* " in *" {words} "*) {action};; esac\nexec git "$@"\n'
        )
        script.chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    def date_in_the_way(self, now: str) -> str:
        """A PATH with a date that always says `now` when it is asked for a name's part."""
        folder = self.path.parent / "clock"
        folder.mkdir()
        script = folder / "date"
        script.write_text(
            f'#!/bin/sh\nPATH=${{PATH#*:}}\ncase " $* " in *%Y%m%dT*) echo {now}; exit;; esac\nexec date "$@"\n'
        )
        script.chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    def environ(self, **environ: str) -> dict[str, str]:
        """No developer's own git configuration decides what happens."""
        who = {"NAME": "Ana", "EMAIL": "ana@example.com"}
        identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        fixed = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.path.parent)}
        return {"PATH": os.environ["PATH"], "BACKUP_DIR": str(self.backups)} | fixed | identity | environ

    def _run(
        self, *command: str, cwd: Path | None = None, stdin: str = "", environ: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cwd or self.path,
            env=self.environ(**environ),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def new_clone(folder: Path) -> Clone:
    """A clone whose remote has one commit with version 1.2.3."""
    clone = Clone(folder)
    (clone.path / "settings.toml").write_text('[default]\nAPI_KEYS = ""\nMAX_TOKENS = 4096\n')
    clone.git("add", "settings.toml")
    clone.commit("rom_core/__init__.py", '__version__ = "1.2.3"\n')
    clone.push()
    return clone
