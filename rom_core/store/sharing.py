"""What a transaction has to do because other instances share the database; in one of a single instance, nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

CHANNEL: Final = "rom"
VERSIONS_TOPIC: Final = "versions"
LEADER: Final = "leader"
UNSEEN_SECONDS: Final = 15.0
"""Without a heartbeat for so long, an instance leaves the list."""


class NotLeader(Exception):
    """Another instance leads by now: what this one has decided as the leader does not count."""


def lock(connection: Connection, table: Table) -> None:
    """Let nobody else write `table` before this transaction has ended; everybody reads it meanwhile.

    What is read afterwards is then what will be there when this transaction is committed.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")


def time_of(connection: Connection, at: float) -> float:
    """Seconds since the epoch by the store's clock, which a fleet shares; `at` where the store has none of its own."""
    if connection.dialect.name != "postgresql":
        return at
    return float(connection.exec_driver_sql("SELECT date_part('epoch', clock_timestamp())").scalar_one())


def notify(connection: Connection, topic: str, *words: object) -> None:
    """Tell every instance of `topic` once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy import func, select

        connection.execute(select(func.pg_notify(CHANNEL, " ".join(map(str, (topic, *words))))))


def as_leader(connection: Connection, holder: str, term: int | None) -> None:
    """Let nobody else begin to lead before this transaction has ended.

    Raises NotLeader unless `holder` leads in `term`.
    """
    if connection.dialect.name != "postgresql":
        return
    from sqlalchemy import select

    from rom_core.store.tables import LEASES

    lease = select(LEASES.c.term).where(LEASES.c.name == LEADER, LEASES.c.holder == holder, LEASES.c.term == term)
    if term is None or connection.execute(lease.with_for_update()).first() is None:
        raise NotLeader(f"term {term} has ended")
