"""Runs in the store: what is known of each, the files of its request, and its events."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

METADATA = MetaData()
KEPT = Table(
    "runs_kept",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("turn_id", Text, nullable=False),
    Column("key_name", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("conversation_id", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("exhaustive", Boolean, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')"),
        nullable=False,
    ),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("holder", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("restart", Text, nullable=False),
    Column("unrepeatable", Boolean, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("last_event", Integer, nullable=False),
    Column("iteration", Integer, nullable=False),
    Column("tools", Text, nullable=False),
    Column("usage", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("ending", LargeBinary, nullable=False),
    Index("runs_kept_by_owner", "key_name", "user", "created_at"),
    Index("runs_kept_by_state", "state", "created_at"),
    Index("runs_kept_by_conversation", "conversation_id"),
)
"""One row a run; times are seconds since the epoch by the store's clock, 0 for what has not happened. The instance
`holder` runs it, whom nobody waits for any more after `lease_until`; a queued one is nobody's, and begins no sooner
than `not_before`; an `exhaustive` one takes a slot of such turns. `attempt` counts its beginnings, `lost` those whose
instance died; `restart` is the reason why the next one begins again, "" if it does not. `unrepeatable`: a tool has
run that must not run twice. `cancel`: it was asked for. `tools` (names) and `usage` are JSON. `request` is sealed,
and emptied at the end; `ending` is the sealed answer or error."""

FILES = Table(
    "runs_files",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
"""The files of a request, sealed, until its run has ended."""

EVENTS = Table(
    "runs_events",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("last", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""The events, in batches: `last` is the number of a batch's last one, `body` its sealed JSON [[name, data], …]."""
