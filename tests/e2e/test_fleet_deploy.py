"""A rolling deploy, old and new on one database, and back; what an administrator holds holds everywhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from e2e.fleet import SETTINGS as COMMON
from e2e.fleet import TOKEN, Fleet, Load, admin, fleet
from e2e.serving import ROOT, RomServer, serving
from waiting import until

from rom_core import __version__

NEWER = "99.0.0"
SETTING = "MAX_OF_TOMORROW"
MIGRATION = '''"""What the next release needs."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, oldest_release = "9999", {before!r}, {oldest!r}


def upgrade():
    op.add_column("rom_instances", sa.Column("colour", sa.Text(), nullable=True))
'''
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The folder of a newer release: another number, a migration more, a setting that the older one does not know."""
    root = tmp_path / "newer"
    for package in ("rom_core", "plugins", "local_bedrock"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "settings.toml", root)
    version = root / "rom_core" / "__init__.py"
    version.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{NEWER}"', version.read_text()))
    migrations = root / "rom_core" / "store" / "migrations"
    last = sorted(path.name[1:5] for path in migrations.glob("r*.py"))[-1]
    (migrations / "r9999_colour.py").write_text(MIGRATION.format(before=last, oldest=__version__))
    settings = root / "rom_core" / "settings" / "core.py"
    before, found, after = settings.read_text().partition('    Setting("MAX_TOKENS"')
    assert found
    settings.write_text(f'{before}    Setting("{SETTING}", int, 1, "Of a newer release."),\n{found}{after}')
    return root


def flag(server: RomServer, name: str) -> object:
    """What is in force."""
    return admin(server, "GET", "/admin/flags").json()["flags"][name]["value"]


def releases(server: RomServer) -> list[str]:
    """Of all instances, as one lists them."""
    return sorted(each["release"] for each in admin(server, "GET", "/admin/status").json()["instances"])


def test_old_and_new_on_one_database(postgres_url: str, newer: Path) -> None:
    """The new one migrates while the old ones serve; changes go both ways; the old ones leave; one comes back."""
    settings = COMMON | {"STATE_URL": postgres_url}
    with fleet(postgres_url, postgres_url) as old, Load(old.servers) as load:
        first, second = old.servers
        assert until(lambda: len(load.statuses) > 10)
        with serving(newer, **settings) as third:
            assert until(lambda: releases(third) == [__version__, __version__, NEWER])
            both = Fleet([first, second, third])
            assert both.confirmed(both.change(first, MAX_TOKENS=71).json())
            assert both.confirmed(both.change(third, MAX_TOKENS=72).json())
            assert both.values("MAX_TOKENS") == [72, 72, 72]
            # The older ones do without it, and keep it.
            assert both.confirmed(both.change(third, **{SETTING: 5}).json())
            assert both.change(first, MAX_TOKENS=72, MAX_TOOL_RESULT_CHARS=9000).status_code == 200
            assert flag(third, SETTING) == 5
            load.turn_to(third)
            for server in (first, second):
                server.signal()
                assert server.wait(60) == 0
            assert until(lambda: releases(third) == [NEWER])
            with serving(**settings) as back:
                assert until(lambda: releases(back) == [__version__, NEWER])
                again = Fleet([back, third])
                assert again.values("MAX_TOKENS") == [72, 72]
                assert again.confirmed(again.change(back, MAX_TOKENS=73).json())
                load.turn_to(back)
                third.signal()
                assert third.wait(60) == 0
                assert back.chat("[[say=um]] oi").status_code == 200
                load.stop()
    assert set(load.statuses) == {200}


def test_a_circuit_that_is_held_holds_everywhere(postgres_url: str) -> None:
    """Held at one instance, within a second at all, and let go at another."""
    with fleet(postgres_url, postgres_url, CIRCUIT_BREAKER_ENABLED="true") as two:
        first, second = two.servers
        model = "anthropic.claude-sonnet-4-5"

        def state(server: RomServer) -> object:
            plugins = {each["name"]: each for each in two.status(server)["plugins"]}
            return plugins["breaker"]["status"]["models"][model]["state"]

        held = admin(first, "POST", "/admin/breaker", {"model": model, "state": "open", "reason": "incident"})
        assert held.status_code == 200
        assert until(lambda: state(second) == "open")
        assert second.chat("oi").json()["code"] == "circuit_open"
        assert admin(second, "POST", "/admin/breaker", {"model": model, "state": "auto"}).status_code == 200
        assert until(lambda: state(first) == "closed")
        assert first.chat("[[say=um]] oi").status_code == 200
        assert TOKEN not in "\n".join(first.lines + second.lines)
