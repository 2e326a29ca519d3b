"""Which behaviour the next request meets: a scripted one, a standing one, or what the message itself orders."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable

from local_bedrock.behaviour import Behaviour
from local_bedrock.conversation import Turn
from local_bedrock.directives import Directed, parse

_REMEMBERED = 10_000


class Script:
    """Thread-safe memory of what tests ordered and how often a counted fault has already struck."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Behaviour] = deque()
        self._always: Behaviour | None = None
        self._struck: OrderedDict[Hashable, int] = OrderedDict()

    def add(self, *behaviours: Behaviour | str) -> None:
        """Queue one-shot behaviours, or texts of directives; `times` stands for so many entries.

        Raises DirectiveError.
        """
        made = [read_behaviour(item) for item in behaviours]
        with self._lock:
            for behaviour in made:
                self._queue.extend([behaviour] * (behaviour.times or 1))

    def set_always(self, behaviour: Behaviour | str | None) -> None:
        """What every request meets once the queue is empty; None = what its message orders. Raises DirectiveError.

        A fault that is meant for other models or requests, or that has struck often enough, leaves a request what its
        message orders.
        """
        made = None if behaviour is None else read_behaviour(behaviour)
        with self._lock:
            self._always = made
            self._struck.pop(None, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._queue.clear()
            self._always = None
            self._struck.clear()

    def next(self, model_id: str, turn: Turn) -> Directed:
        """The behaviour for this request, and its message without directives. Raises DirectiveError."""
        directed = parse(turn.text)
        with self._lock:
            for behaviour in self._queue:
                if behaviour.concerns(model_id, turn.request):
                    self._queue.remove(behaviour)
                    return Directed(behaviour, directed.text)
            if self._always is not None:
                standing = self._counted(self._always, None, model_id, turn)
                if standing == self._always:
                    return Directed(standing, directed.text)
            return Directed(self._counted(directed.behaviour, turn.text, model_id, turn), directed.text)

    def _counted(self, behaviour: Behaviour, key: Hashable, model_id: str, turn: Turn) -> Behaviour:
        if behaviour.fault is None:
            return behaviour
        if not behaviour.concerns(model_id, turn.request):
            return behaviour.without_fault()
        if behaviour.times is None:
            return behaviour
        struck = self._struck.pop(key, 0)
        self._struck[key] = struck + 1
        if len(self._struck) > _REMEMBERED:
            self._struck.popitem(last=False)
        return behaviour if struck < behaviour.times else behaviour.without_fault()


def read_behaviour(item: Behaviour | str) -> Behaviour:
    """`item`, or the behaviour that its directives describe. Raises DirectiveError, also for plain text in it."""
    return item if isinstance(item, Behaviour) else parse(item, strict=True).behaviour
