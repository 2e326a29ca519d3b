"""What a change would come to, with nothing kept and nothing put in force."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rom_core.errors import Forbidden, VersionConflict
from rom_core.flags.apply import Applier
from rom_core.flags.approval import NEEDS_NAME, NeedsApproval, check
from rom_core.flags.differences import changes_between, differences
from rom_core.flags.proposals import Proposal
from rom_core.settings import Problem
from rom_core.store.overrides import CANARY, PENDING


@dataclass(frozen=True, slots=True)
class Preview:
    """`version` is the one in force, which the preview is of.

    `changed` maps names to (before, after) as JSON, secrets masked: all values that would be others. `overrides` are
    the names of those that would be set or cleared ("set", "clear"), whether that changes a value or not. `skipped` are
    overrides that this code cannot use. `needs_approval`: names of sensitive settings for which the change would wait
    for a second person.
    """

    version: int
    changed: Mapping[str, tuple[Any, Any]]
    overrides: Mapping[str, str]
    skipped: tuple[Problem, ...]
    awaiting_restart: Mapping[str, Any]
    needs_approval: tuple[str, ...] = ()


def preview(applier: Applier, proposal: Proposal) -> Preview:
    """As the change itself, up to the moment in which something would happen.

    Raises InvalidSettings, VersionConflict, Forbidden and InvalidRequest as the change would, but for a reason that is
    still missing.
    """
    before = applier.now
    state, author = before.state, proposal.author
    if proposal.if_version is not None and proposal.if_version != state.version:
        raise VersionConflict(f"version {state.version} is in force, not {proposal.if_version}", state.version)
    target = proposal.target(state, before)
    resolved = applier.resolve(proposal, target)
    names: tuple[str, ...] = ()
    if proposal.fallback is None and not proposal.approved:
        reasoned = dataclasses.replace(author, why=author.why or "preview")
        try:
            check(before, state, target, resolved.snapshot, reasoned)
        except NeedsApproval as error:
            if not author.named:
                raise Forbidden(f"{error}: {NEEDS_NAME}") from None
            names = error.names
    old, new = before.snapshot, resolved.snapshot
    changed = differences(old, new)
    changes = changes_between(old.settings, new.settings, state.values, target.values)
    overrides = {
        change.name: change.action
        for change in changes
        if change.action != "reload" and change.name not in (CANARY, PENDING)
    }
    return Preview(state.version, changed, overrides, resolved.skipped, new.settings.awaiting_restart, names)
