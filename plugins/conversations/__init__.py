"""Conversations: what was said is kept, and a conversation goes on by its id alone."""

from plugins.conversations.plugin import Conversations

__all__ = ["Conversations"]
