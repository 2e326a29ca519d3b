"""Whatever is done to the settings, in whatever order: the state is what replaying the history gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flag_support import ANA, SETTINGS_TOML, Site
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rom_core.errors import InvalidRequest, StoreUnavailable
from rom_core.markers import hookimpl
from rom_core.settings import InvalidSettings, Rule, Setting
from rom_core.store.overrides import FIRST_VERSION, State, replay

NAMES = ("SOFT", "HARD", "LIMITS_ENABLED", "MAX_TOKENS", "BEDROCK_ENABLED")


class Limits:
    """A plugin with a relation, so that some changes are refused."""

    @hookimpl
    def rom_settings(self) -> list[Setting | Rule]:
        return [
            Setting("LIMITS_ENABLED", bool, False, "on or off", switch=True),
            Setting("SOFT", int, 2, "soft limit", minimum=0),
            Setting("HARD", int, 4, "hard limit", minimum=0),
            Rule(("SOFT", "HARD"), lambda s: "is not below HARD" if s.SOFT >= s.HARD else None),
        ]


EDITS = st.dictionaries(
    st.sampled_from(NAMES),
    st.sampled_from([None, "", 0, 1, 3, 5, "3", "off", True, False, "x"]),
    min_size=1,
    max_size=3,
)
CANARIES = st.one_of(
    st.none(), st.fixed_dictionaries({"flags": st.dictionaries(st.sampled_from(NAMES[:3]), st.integers(0, 5))})
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), EDITS),
        st.tuples(st.just("change"), st.fixed_dictionaries({"canary": CANARIES})),
        st.tuples(st.just("rollback"), st.integers(1, 6)),
        st.tuples(st.just("edit file"), st.integers(1, 6)),
        st.tuples(st.just("break or mend the store"), st.none()),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=10,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(
    steps=[
        ("break or mend the store", None),
        ("edit file", 3),
        ("break or mend the store", None),
        ("change", {"SOFT": "x"}),
    ]
)
def test_the_state_is_what_replaying_the_history_gives(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    """After any sequence of set, clear, rollback, reload, edited files, restarts and failures of the store.

    A change that is refused leaves version, snapshot and history as they were. While the store fails, only the kill
    switch changes an override.
    """
    root: Path = tmp_path_factory.mktemp("site")
    site = Site(root, limits=Limits())
    runtime, flags = site.start()
    for kind, what in steps:
        before, kept, refused = flags.now, len(site.store.versions), False
        try:
            if kind == "change":
                flags.change(what, ANA)
            elif kind == "rollback":
                flags.rollback(what, ANA)
            elif kind == "edit file":
                site.write(SETTINGS_TOML + f"HARD = {what}\n")
                flags.change({}, ANA)
            elif kind == "restart" and not site.store.broken:
                site.write(SETTINGS_TOML)
                runtime, flags = site.start()
            elif kind == "break or mend the store":
                site.store.broken = not site.store.broken
        except (InvalidSettings, InvalidRequest, StoreUnavailable):
            refused = True
            assert flags.now is before
            assert len(site.store.versions) == kept
        in_force = flags.now
        history = [*site.store.versions, *in_force.unkept]
        assert [version.number for version in history] == list(range(FIRST_VERSION, len(history) + 1))
        replayed = replay(history[1:], State())
        assert in_force.state.values == replayed.values
        assert in_force.state.version == replayed.version == runtime.current.version
        assert runtime.current is in_force.snapshot
        assert not in_force.unkept or site.store.broken or refused or kind == "break or mend the store"
        skipped = {problem.name for problem in in_force.skipped}
        for name, value in replayed.values.items():
            if name != "canary" and name not in skipped:
                assert getattr(runtime.current.settings, name) == value
                assert runtime.current.settings.source(name) == "override"
        if site.store.broken and kind == "change" and in_force.state.values != before.state.values:
            assert set(what) == {"BEDROCK_ENABLED"}
            assert in_force.snapshot.settings.BEDROCK_ENABLED is False
