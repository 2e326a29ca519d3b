"""Plugins that break the contract: each is refused by its name, with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from support import Recorder, Toolkit, make_runtime, make_settings, tool

from rom_core import hookspecs
from rom_core.errors import PluginError
from rom_core.markers import hookimpl
from rom_core.plugin.catalogue import Catalogue, Plugin, describe
from rom_core.plugin.snapshot import build_snapshot
from rom_core.settings import Setting


class UnknownHook:
    @hookimpl
    def rom_trun(self) -> None: ...


class UnknownArgument:
    @hookimpl
    def rom_turn(self, turn: Any, request: Any) -> None: ...


class Unmarked:
    def rom_event(self, event: Any) -> None: ...


class WrappedObserver:
    @hookimpl(wrapper=True)
    def rom_event(self, event: Any) -> Any:
        return (yield)


class WrappedList:
    @hookimpl(wrapper=True)
    def rom_tools(self) -> Any:
        return (yield)


class AsyncObserver:
    @hookimpl
    async def rom_event(self, event: Any) -> None: ...


class YieldingObserver:
    @hookimpl
    def rom_event(self, event: Any) -> Any:
        yield


class PlainWrapper:
    @hookimpl
    def rom_turn(self) -> Any:
        return (yield)


class OldWrapper:
    @hookimpl(hookwrapper=True)
    def rom_turn(self) -> Any:
        yield


class Last:
    @hookimpl(trylast=True)
    def rom_turn(self) -> None: ...


class TwoSwitches:
    @hookimpl
    def rom_settings(self) -> list[Setting]:
        return [Setting(name, bool, False, "x", switch=True) for name in ("ONE_ENABLED", "TWO_ENABLED")]


class TakenSetting:
    @hookimpl
    def rom_settings(self) -> list[Setting]:
        return [Setting("MAX_TOKENS", int, 1, "x")]


class NotASetting:
    @hookimpl
    def rom_settings(self) -> list[Any]:
        return ["MAX_TOKENS"]


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (UnknownHook(), "rom_trun is no hook; did you mean rom_turn?"),
        (UnknownArgument(), "request"),
        (Unmarked(), "not marked"),
        (WrappedObserver(), "cannot be wrapped"),
        (WrappedList(), "rom_tools .*cannot be wrapped"),
        (AsyncObserver(), "async"),
        (YieldingObserver(), "rom_event yields"),
        (PlainWrapper(), "rom_turn yields"),
        (OldWrapper(), "wrapper=True"),
        (Last(), "core's own place"),
        (TwoSwitches(), "more than one switch"),
        (TakenSetting(), "MAX_TOKENS"),
        (NotASetting(), "Setting and Rule"),
        (Recorder, "is a class"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_refused_by_name(plugin: Any, reason: str) -> None:
    """The refusal names the plugin and the reason."""
    with pytest.raises(PluginError, match=reason) as caught:
        Catalogue.of(hookspecs, odd=plugin)
    assert caught.value.plugin == "odd"


def test_a_broken_plugin_matters_only_when_it_is_on() -> None:
    """A plugin that does not load is reported; switched on it refuses the start, with its name and the reason."""
    switch = Setting("LOST_ENABLED", bool, False, "x", switch=True, plugin="lost")
    catalogue = Catalogue(
        hookspecs, [Plugin("lost", None, "LOST_ENABLED", (switch,), error="it does not load: ImportError")]
    )
    settings = make_settings(catalogue)
    assert build_snapshot(catalogue, settings, ()).pipeline.plugins == ()
    assert describe(catalogue, settings)[0]["error"] == "it does not load: ImportError"
    with pytest.raises(PluginError, match="lost"):
        build_snapshot(catalogue, make_settings(catalogue, LOST_ENABLED=True), ())


def test_entry_points_that_fail_to_import_are_kept_with_their_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Catalogue.installed` goes on when one entry point cannot be imported."""
    from importlib.metadata import EntryPoint

    points = [EntryPoint("ghost", "no_such_module:Plugin", "rom.plugins")]
    monkeypatch.setattr("rom_core.plugin.catalogue.entry_points", lambda group: points)
    catalogue = Catalogue.installed(hookspecs)
    assert catalogue.has_broken
    assert "no_such_module" in catalogue.plugins["ghost"].error
    assert catalogue.plugins["ghost"].switch == "GHOST_ENABLED"


def test_two_tools_of_one_name_are_refused() -> None:
    """A tool name belongs to one plugin."""
    with pytest.raises(PluginError, match="already offered by 'a'"):
        make_runtime(plugins={"a": Toolkit(tool()), "b": Toolkit(tool())}, PLUGINS=["a", "b"])


def test_a_tool_with_a_broken_schema_is_refused() -> None:
    """An input_schema that is no JSON Schema refuses the snapshot, with the plugin's name."""
    with pytest.raises(PluginError, match="invalid input_schema"):
        make_runtime(plugins={"a": Toolkit(tool(input_schema={"type": "object", "properties": 3}))})


def test_one_object_under_two_names_is_refused() -> None:
    """A plugin has one name; the refusal says which two it was given."""
    plugin = Recorder()
    with pytest.raises(PluginError, match="same object as 'a'"):
        Catalogue.of(hookspecs, a=plugin, b=plugin)
