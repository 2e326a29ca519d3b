"""Files: uploaded once, kept for a while, and named by their id in later requests."""

from plugins.files.plugin import Files

__all__ = ["Files"]
