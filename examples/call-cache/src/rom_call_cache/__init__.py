"""Call cache: a request that was answered a moment ago is answered again without asking the model.

Settings: CALL_CACHE_ENABLED (switch), CALL_CACHE_SECONDS, CALL_CACHE_MAX_MB.
Hooks: rom_settings, rom_model_send, rom_event, rom_status.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rom_core.events import AttemptFinished, Event, SettingsChanged
from rom_core.markers import hookimpl
from rom_core.settings import Setting
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

from rom_call_cache.cache import Cache, digest, may_be_kept

_MB = 2**20


class CallCache:
    """The plugin; the cache guards itself."""

    def __init__(self) -> None:
        self._cache = Cache()

    @hookimpl
    def rom_settings(self) -> Sequence[Setting]:
        """The switch, and the two bounds."""
        return [
            Setting("CALL_CACHE_ENABLED", bool, False, "Answers again what was answered a moment ago.", switch=True),
            Setting("CALL_CACHE_SECONDS", int, 600, "Seconds for which an answer is kept.", minimum=1),
            Setting("CALL_CACHE_MAX_MB", int, 16, "MiB of answers that are kept at most.", minimum=1, maximum=1024),
        ]

    @hookimpl
    def rom_model_send(self, attempt: Attempt) -> ModelReply | None:
        """The answer to this very request, if there is one; None lets it go on the wire."""
        turn = attempt.turn
        # The probe of an open circuit has to ask; a structured answer is checked, and asked for again if it is wrong.
        if attempt.probe or turn.request.response_format is not None:
            return None
        attempt.stash["call_cache"] = key = digest(attempt.request, turn.request.key_name)
        return self._cache.get(key, turn.clock.monotonic())

    @hookimpl
    def rom_event(self, event: Event) -> None:
        """Keep what the model answered; forget everything when the cache is switched off."""
        if isinstance(event, AttemptFinished):
            attempt, settings = event.attempt, event.attempt.turn.settings
            key, reply = attempt.stash.get("call_cache"), attempt.reply
            if key and event.outcome == "ok" and reply is not None and may_be_kept(reply):
                until = attempt.turn.clock.monotonic() + settings.CALL_CACHE_SECONDS
                self._cache.put(key, reply, until, settings.CALL_CACHE_MAX_MB * _MB)
        elif isinstance(event, SettingsChanged) and event.changes.get("CALL_CACHE_ENABLED", (0, True))[1] is False:
            self._cache.clear()

    @hookimpl
    def rom_status(self) -> dict[str, Any]:
        """This plugin's part of GET /admin/status."""
        return self._cache.figures()
