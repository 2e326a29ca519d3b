"""Every hook point of ROM Agent, in the order in which data meets them. Project name for pluggy: "rom".

A plugin is an object with methods marked `@hookimpl`, named as here, that take any subset of the arguments, by name.
They are plain functions: one that is `async`, or yields without being a wrapper, is refused. Four kinds of hook:

* collect: every plugin is asked, each returns a list (or None); a plugin that raises stops the start.
* call all: every plugin is called in the order of PLUGINS.
* around: wrap the inner step with `@hookimpl(wrapper=True)`: code before `yield`, `result = yield`, code after,
  `return result`. Raise before `yield` to refuse: the inner step does not run. `yield` exactly once; to have a step
  done again return a decision from the hook that asks for one. A plain (not wrapping) implementation that returns
  something other than None answers in the place of the inner step. Hooks of the process, and observers, have no inner
  step: each plugin is asked alone, and a wrapper is refused.
* first answer: plugins are asked in the order of PLUGINS until one returns something other than None.

Observers (`rom_event`, `rom_delta`) are called one by one, each isolated: one that raises is logged and counted and
breaks nothing. An exception anywhere else fails the turn with 500 `internal_error` unless it is a `RomError`, which
becomes the HTTP answer it stands for. So does an answer of another type than the hook's, such as the None of a wrapper
that forgets to return what it was given.
"""

from __future__ import annotations

# ruff: noqa: I001 - in the order in which data meets them
from rom_core.hookspecs.process import (
    rom_settings,
    rom_tools,
    rom_tables,
    rom_erase,
    rom_routes,
    rom_start,
    rom_collectors,
    rom_stop,
    rom_status,
)
from rom_core.hookspecs.turns import (
    rom_admit,
    rom_file,
    rom_background,
    rom_turn,
    rom_iteration,
    rom_model_call,
    rom_model_attempt,
    rom_model_request,
    rom_cache_points,
    rom_model_send,
    rom_text,
    rom_delta,
    rom_model_failed,
    rom_tools_requested,
    rom_tool_call,
    rom_event,
)

__all__ = [  # noqa: RUF022
    "rom_settings",
    "rom_tools",
    "rom_tables",
    "rom_erase",
    "rom_routes",
    "rom_start",
    "rom_collectors",
    "rom_stop",
    "rom_status",
    "rom_admit",
    "rom_file",
    "rom_background",
    "rom_turn",
    "rom_iteration",
    "rom_model_call",
    "rom_model_attempt",
    "rom_model_request",
    "rom_cache_points",
    "rom_model_send",
    "rom_text",
    "rom_delta",
    "rom_model_failed",
    "rom_tools_requested",
    "rom_tool_call",
    "rom_event",
]
