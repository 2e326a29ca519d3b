"""Admin routes for the settings: what is in force, changing it, its history, rollback, and the status."""

from plugins.flags.plugin import FlagsPlugin

__all__ = ["FlagsPlugin"]
