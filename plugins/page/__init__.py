"""The page for the team at `/` and the console for the operator at `/console`: static files, no build step."""

from plugins.page.plugin import Page

__all__ = ["Page"]
