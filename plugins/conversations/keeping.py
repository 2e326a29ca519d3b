"""The rows of conversations: claiming one for a turn, keeping what was said, and what their owner does with them.

Every function is one transaction's action: it gets a connection, does nothing else, and may be carried out again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from plugins.conversations.locking import locked
from plugins.conversations.summaries import Summary, summary
from plugins.conversations.tables import FILES, KEPT, SUMMARIES, TURNS
from rom_core.errors import ConversationBusy, NotFound
from rom_core.store.content_owner import Owner
from rom_core.store.sharing import time_of

LEASE_SECONDS = 20.0
"""For how long a claim holds unless it is renewed."""
State = Literal["whole", "cut", "failed"]


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn as it is kept; `body` is sealed, `files` are by digest and sealed too.

    `claim` is the turn's id, and behind a colon what tells one claim of it from another: a turn that is begun again
    elsewhere, since its instance seemed dead, is no longer its first claim's to write.
    """

    number: int
    claim: str
    at: float
    state: State
    basis: str
    body: bytes
    files: Mapping[str, bytes]
    tokens: int | None = None


def begin(connection: Connection, conversation_id: str, owner: Owner, title: bytes, row: TurnRow) -> bool:
    """A conversation with its first turn, which runs; whether that turn had begun it before, and now begins again.

    Raises ConversationBusy if another turn runs in it.
    """
    if connection.execute(_of(conversation_id, owner)).first() is not None:
        return claim(connection, conversation_id, owner, turn_of(row.claim), lambda *_: row, row.at)
    now = time_of(connection, row.at)
    connection.execute(
        insert(KEPT).values(
            id=conversation_id,
            key_name=owner.key_name,
            user=owner.user,
            title=title,
            created_at=now,
            updated_at=now,
            turns=1,
            busy_with=row.claim,
            busy_until=now + LEASE_SECONDS,
        )
    )
    _add(connection, conversation_id, row, now)
    return False


def claim(
    connection: Connection,
    conversation_id: str,
    owner: Owner,
    turn_id: str,
    make: Callable[[Sequence[TurnRow], Summary | None], TurnRow],
    at: float,
) -> bool:
    """Claim a conversation for a turn that begins: `make` gets the turns before, and a summary of the oldest,
    and returns the row of the new one.

    A turn that has claimed it before, on an instance that died say, claims it again, and its earlier row is replaced;
    whether that was so. Raises NotFound unless it is the owner's, ConversationBusy while another turn runs in it, and
    what `make` raises.
    """
    row = connection.execute(_of(conversation_id, owner).with_for_update()).first()
    if row is None:
        raise unknown(conversation_id)
    now = time_of(connection, at)
    if row.busy_with and row.busy_until > now and turn_of(row.busy_with) != turn_id:
        raise ConversationBusy("another turn of this conversation has not ended; wait for it, or cancel it")
    kept = turns(connection, conversation_id)
    earlier = [each for each in kept if turn_of(each.claim) == turn_id]
    for each in earlier:
        connection.execute(_delete_turn(conversation_id, each.claim))
    made = make([each for each in kept if each not in earlier], summary(connection, conversation_id))
    connection.execute(
        update(KEPT)
        .where(KEPT.c.id == conversation_id)
        .values(busy_with=made.claim, busy_until=now + LEASE_SECONDS, turns=made.number, updated_at=now)
    )
    _add(connection, conversation_id, made, now)
    return bool(earlier)


def note(connection: Connection, conversation_id: str, row: TurnRow) -> bool:
    """Keep how far a turn has come that still holds its claim; whether it does."""
    return locked(connection, conversation_id) == row.claim and _write(connection, conversation_id, row)


def finish(connection: Connection, conversation_id: str, row: TurnRow) -> None:
    """Keep what became of a turn, and let the next one begin.

    A conversation that was erased meanwhile stays erased. Of a turn that has lost its claim to another turn the own row
    is kept all the same, and nothing of the other's is touched; of one that was begun again, nothing is kept.
    """
    claimed = locked(connection, conversation_id)
    if claimed is None or not _write(connection, conversation_id, row) or claimed != row.claim:
        return
    let_go = update(KEPT).where(KEPT.c.id == conversation_id)
    connection.execute(let_go.values(busy_with="", busy_until=0.0, updated_at=time_of(connection, row.at)))


def withdraw(connection: Connection, conversation_id: str, claim: str, files: Collection[str]) -> None:
    """Forget a turn that never began, and the `files` that came with it; a conversation without any other goes too."""
    if locked(connection, conversation_id) is None:
        return
    if not connection.execute(_delete_turn(conversation_id, claim)).rowcount:
        return
    if files:
        came = delete(FILES).where(FILES.c.conversation_id == conversation_id, FILES.c.digest.in_(files))
        connection.execute(came)
    last = connection.execute(select(func.max(TURNS.c.number)).where(TURNS.c.conversation_id == conversation_id))
    number = last.scalar()
    if number is None:
        remove(connection, [conversation_id])
        return
    let_go = update(KEPT).where(KEPT.c.id == conversation_id, KEPT.c.busy_with == claim)
    connection.execute(let_go.values(busy_with="", busy_until=0.0, turns=number))


def renew(connection: Connection, claims: Sequence[str], at: float) -> None:
    """Hold what these have claimed."""
    until = time_of(connection, at) + LEASE_SECONDS
    connection.execute(update(KEPT).where(KEPT.c.busy_with.in_(claims)).values(busy_until=until))


def turns(connection: Connection, conversation_id: str) -> list[TurnRow]:
    """All turns of a conversation, oldest first, with all its files."""
    rows = connection.execute(
        select(FILES.c.digest, FILES.c.content).where(FILES.c.conversation_id == conversation_id)
    ).all()
    files = {row.digest: row.content for row in rows}
    listed = select(TURNS).where(TURNS.c.conversation_id == conversation_id).order_by(TURNS.c.number)
    return [
        TurnRow(row.number, row.turn_id, row.at, row.state, row.basis, row.body, files, row.tokens)
        for row in connection.execute(listed)
    ]


def found(connection: Connection, conversation_id: str, owner: Owner) -> Row[Any]:
    """One conversation. Raises NotFound unless it is the owner's."""
    _check(conversation_id)
    row = connection.execute(_of(conversation_id, owner)).first()
    if row is None:
        raise unknown(conversation_id)
    return row


def page(connection: Connection, owner: Owner, before: tuple[float, str] | None, limit: int) -> Sequence[Row[Any]]:
    """The owner's conversations, those changed last first, after the one that `before` names by time and id."""
    listed = select(KEPT).where(_owned(owner)).order_by(KEPT.c.updated_at.desc(), KEPT.c.id.desc()).limit(limit)
    if before is not None:
        at, conversation_id = before
        earlier = KEPT.c.updated_at < at
        listed = listed.where(or_(earlier, and_(KEPT.c.updated_at == at, KEPT.c.id < conversation_id)))
    return connection.execute(listed).all()


def rename(connection: Connection, conversation_id: str, owner: Owner, title: bytes) -> None:
    """Another title. Raises NotFound unless it is the owner's."""
    found(connection, conversation_id, owner)
    connection.execute(update(KEPT).where(KEPT.c.id == conversation_id).values(title=title))


def owned_by(connection: Connection, user: str, key_name: str | None = None) -> list[str]:
    """The ids of everything of a person, of one key or of all."""
    whose = KEPT.c.user == user if key_name is None else _owned(Owner(key_name, user))
    return list(connection.execute(select(KEPT.c.id).where(whose).order_by(KEPT.c.created_at)).scalars())


def anybodys(connection: Connection, conversation_id: str) -> Row[Any]:
    """One conversation, whoever owns it. Raises NotFound."""
    _check(conversation_id)
    row = connection.execute(select(KEPT).where(KEPT.c.id == conversation_id)).first()
    if row is None:
        raise NotFound(f"there is no conversation {conversation_id[:64]!r}")
    return row


def remove(connection: Connection, conversation_ids: Iterable[str]) -> None:
    """Erase these with everything in them, whoever owns them, also while a turn runs there."""
    ids = list(conversation_ids)
    # First the row that whoever writes into a conversation locks: what they write then is erased with the rest.
    connection.execute(delete(KEPT).where(KEPT.c.id.in_(ids)))
    for table in (TURNS, SUMMARIES, FILES):
        connection.execute(delete(table).where(table.c.conversation_id.in_(ids)))


def unknown(conversation_id: str) -> NotFound:
    """The same for one that is not there and one that is somebody else's: nobody learns which."""
    return NotFound(f"there is no conversation {conversation_id[:64]!r} of this key and user")


def turn_of(claim: str) -> str:
    """The id of the turn that has claimed a conversation."""
    return claim.partition(":")[0]


def _delete_turn(conversation_id: str, claim: str) -> Any:
    return delete(TURNS).where(TURNS.c.conversation_id == conversation_id, TURNS.c.turn_id == claim)


def _check(conversation_id: str) -> None:
    """PostgreSQL would refuse to look for a text with a NUL."""
    if "\0" in conversation_id:
        raise unknown(conversation_id)


def _owned(owner: Owner) -> Any:
    return and_(KEPT.c.key_name == owner.key_name, KEPT.c.user == owner.user)


def _of(conversation_id: str, owner: Owner) -> Any:
    return select(KEPT).where(KEPT.c.id == conversation_id, _owned(owner))


def _add(connection: Connection, conversation_id: str, row: TurnRow, at: float) -> None:
    connection.execute(
        insert(TURNS).values(
            conversation_id=conversation_id,
            number=row.number,
            turn_id=row.claim,
            at=at,
            state=row.state,
            basis=row.basis,
            body=row.body,
        )
    )
    _add_files(connection, conversation_id, row.files)


def _write(connection: Connection, conversation_id: str, row: TurnRow) -> bool:
    own = update(TURNS).where(TURNS.c.conversation_id == conversation_id, TURNS.c.turn_id == row.claim)
    done = connection.execute(own.values(state=row.state, body=row.body, basis=row.basis, tokens=row.tokens))
    if not done.rowcount:
        return False
    _add_files(connection, conversation_id, row.files)
    return True


def _add_files(connection: Connection, conversation_id: str, files: Mapping[str, bytes]) -> None:
    known = set(connection.execute(select(FILES.c.digest).where(FILES.c.conversation_id == conversation_id)).scalars())
    for digest, content in files.items():
        if digest not in known:
            connection.execute(insert(FILES).values(conversation_id=conversation_id, digest=digest, content=content))
