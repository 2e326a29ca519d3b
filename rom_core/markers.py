"""The marks by which pluggy knows hook points and their implementations. A plugin needs `hookimpl`, nothing else."""

from __future__ import annotations

import pluggy

PROJECT = "rom"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
