"""The snapshot: frozen, plain to read, silent about secrets."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from rom_core.settings import MASK, Setting, Settings, load_settings

DECLARED = (
    Setting("NAMES", list, (), "Names.", item=str),
    Setting("TABLE", dict, {}, "A table."),
    Setting("KEY", str, "", "A key.", secret=True),
    Setting("OTHER_KEY", str, "", "A key that is not set.", secret=True),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A list, a nested table, a secret that is set and one that is not."""
    environ = {"NAMES": "a,b", "TABLE": '{"inner": {"list": [1, [2]]}}', "KEY": "hush"}
    return load_settings(DECLARED, root=tmp_path, environ=environ)


def test_nothing_in_a_snapshot_changes(settings: Settings) -> None:
    """Attributes cannot be set or deleted, new ones neither, and values are frozen all the way down."""
    for change in (
        lambda: setattr(settings, "NAMES", ()),
        lambda: setattr(settings, "NEW", 1),
        lambda: setattr(settings, "environment", "production"),
        lambda: delattr(settings, "NAMES"),
        lambda: settings.NAMES.append("c"),
    ):
        with pytest.raises(AttributeError):
            change()
    tables: tuple[Any, ...] = (settings.TABLE, settings.TABLE["inner"], settings.declared, settings.models)
    for frozen in tables:
        with pytest.raises(TypeError):
            frozen["x"] = 1
    assert settings.TABLE["inner"]["list"] == (1, (2,))


def test_mask_hides_secrets_that_are_set(settings: Settings) -> None:
    """as_dict shows a mask for a secret, nothing for one that is not set, and the value only when asked to."""
    assert settings.as_dict()["KEY"] == MASK
    assert settings.as_dict()["OTHER_KEY"] == ""
    assert settings.as_dict(mask=False)["KEY"] == "hush"
    assert "hush" not in repr(settings)
    assert "'a'" in repr(settings)


def test_as_dict_is_fresh_and_fit_for_json(settings: Settings) -> None:
    """as_dict gives lists and dicts of its own."""
    values: dict[str, Any] = settings.as_dict()
    assert json.loads(json.dumps(values)) == values
    values["TABLE"]["inner"]["list"].append(3)
    assert settings.as_dict()["TABLE"] == {"inner": {"list": [1, [2]]}}


def test_reading_runs_no_code(settings: Settings) -> None:
    """A value is a plain instance attribute: no property, no __getattr__, no lookup by dynaconf."""
    assert "NAMES" in vars(settings)
    assert not hasattr(Settings, "NAMES")
    assert not hasattr(Settings, "__getattr__")
    assert "__getattribute__" not in vars(Settings)


def test_names_nobody_declared_are_errors(settings: Settings) -> None:
    """A typo in code fails at once."""
    with pytest.raises(AttributeError):
        settings.NAME  # noqa: B018
    with pytest.raises(KeyError):
        settings.source("NAME")


def test_declarations_travel_with_the_snapshot(settings: Settings) -> None:
    """What shows a setting to an operator needs its declaration."""
    assert dict(settings.declared) == {setting.name: setting for setting in DECLARED}
    assert settings.declared["KEY"].secret


def test_snapshot_cannot_be_pickled(settings: Settings) -> None:
    """A snapshot holds secrets and does not leave the process by accident."""
    with pytest.raises(TypeError):
        pickle.dumps(settings)
