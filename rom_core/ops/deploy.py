"""A small client of Render's API: which deploys a service had, a new one, and back to an earlier one.

Contract: https://api-docs.render.com/reference. A deploy begins with POST and is watched with GET; nothing that
changes something is ever sent twice by itself. It is our own because it is four calls, and because general clients
repeat by themselves what failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from rom_core.concurrency.clock import Clock
from rom_core.ops.bearer import BadToken, Bearer
from rom_core.ops.requesting import DirectSession, json_of

API = "https://api.render.com/v1"
KEY_VARIABLE = "RENDER_API_KEY"
FAILED = frozenset({"build_failed", "update_failed", "pre_deploy_failed", "canceled"})
# Superseded while it was waited for: it was live, and something else is now.
REPLACED = "deactivated"
LIVE = "live"
ENDED = FAILED | {REPLACED, LIVE}
POLL_SECONDS = 5.0
_TIMEOUT = (5, 30)
# Polls in a row that may fail before the waiting ends; the deploy itself goes on.
_MAX_FAILURES = 5


class RenderError(Exception):
    """Render refused, did not answer, or a deploy failed; the text says which, for a person."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy. `status` and `trigger` are Render's own words; times are ISO 8601 texts, "" if there is none yet."""

    id: str
    status: str
    commit: str
    message: str
    created: str
    finished: str
    trigger: str

    @classmethod
    def of(cls, answer: Any) -> Deploy:
        """From a deploy object of the API. Raises RenderError if it is none."""
        try:
            commit = answer.get("commit") or {}
            return cls(
                id=str(answer["id"]),
                status=str(answer["status"]),
                commit=str(commit.get("id") or ""),
                message=str(commit.get("message") or "").partition("\n")[0],
                created=str(answer.get("createdAt") or ""),
                finished=str(answer.get("finishedAt") or ""),
                trigger=str(answer.get("trigger") or ""),
            )
        except (KeyError, AttributeError, TypeError):
            raise RenderError("Render's answer is not a deploy") from None


class Render:
    """Speaks for one service (`srv-…`) with one API key. Everything here raises RenderError."""

    def __init__(self, api_key: str, service: str, *, clock: Clock, api: str = API) -> None:
        self._clock = clock
        self._address = f"{api.rstrip('/')}/services/{quote(service, safe='')}"
        self._session = DirectSession()
        self._session.headers["Accept"] = "application/json"
        try:
            self._session.auth = Bearer(api_key, KEY_VARIABLE)
        except BadToken as error:
            raise RenderError(str(error)) from None

    def deploys(self, limit: int = 20) -> list[Deploy]:
        """The newest deploys, newest first."""
        answer = self._ask("GET", "/deploys", params={"limit": str(limit)})
        if not isinstance(answer, list):
            raise RenderError("Render's answer is not a list of deploys")
        return [Deploy.of(entry.get("deploy") if isinstance(entry, dict) else None) for entry in answer]

    def deploy(self, deploy_id: str) -> Deploy:
        """One deploy as it stands."""
        return Deploy.of(self._ask("GET", f"/deploys/{quote(deploy_id, safe='')}"))

    def start(self, commit: str) -> Deploy:
        """Build and deploy a commit."""
        return self._begin("/deploys", {"commitId": commit, "clearCache": "do_not_clear"}, commit)

    def rollback(self, deploy_id: str) -> Deploy:
        """Deploy what an earlier deploy built, without building it again."""
        return self._begin("/rollback", {"deployId": deploy_id})

    def stop_auto_deploy(self) -> None:
        """From now on a push deploys nothing; a rollback through the API does not do this by itself."""
        self._ask("PATCH", "", json={"autoDeploy": "no"})

    def wait(
        self,
        deploy: Deploy,
        seconds: float,
        stop: threading.Event,
        on_change: Callable[[Deploy], None] = lambda _: None,
    ) -> Deploy:
        """Wait until a deploy is live. Raises RenderError when it fails, is replaced, or takes over `seconds`."""
        give_up = self._clock.monotonic() + seconds
        failures, known = 0, deploy.status
        while deploy.status != LIVE:
            if deploy.status in FAILED or deploy.status == REPLACED:
                raise RenderError(f"deploy {deploy.id} ended as {deploy.status}")
            if self._clock.monotonic() >= give_up:
                raise RenderError(
                    f"deploy {deploy.id} is not live after {seconds:g} s, but {deploy.status}; it goes on"
                )
            if self._clock.sleep(POLL_SECONDS, stop):
                raise RenderError(f"no longer waiting for deploy {deploy.id}; it goes on")
            try:
                deploy, failures = self.deploy(deploy.id), 0
            except RenderError as error:
                failures += 1
                passing = error.status is None or error.status == 429 or error.status >= 500
                if not passing or failures == _MAX_FAILURES:
                    raise
            if deploy.status != known:
                known = deploy.status
                on_change(deploy)
        return deploy

    def _begin(self, path: str, body: dict[str, str], commit: str = "") -> Deploy:
        answer = self._ask("POST", path, json=body)
        return self._accepted(commit) if answer is None else Deploy.of(answer)

    def _accepted(self, commit: str) -> Deploy:
        """The deploy behind a 202: accepted behind another one, without an object to tell which.

        One that has ended is not it, the live one least of all: waiting for that would find it live at once.
        """
        for _ in range(_MAX_FAILURES):
            for deploy in self.deploys():
                if deploy.status not in ENDED and (not commit or deploy.commit == commit):
                    return deploy
            self._clock.sleep(POLL_SECONDS, threading.Event())
        raise RenderError("Render accepted the deploy but does not show it; see `rom deploy status`")

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._session.request(method, self._address + path, timeout=_TIMEOUT, **arguments)
        except requests.RequestException as error:
            raise RenderError(f"no answer from Render: {type(error).__name__}") from None
        if response.is_redirect:
            # The key is for the named address alone, and a request that changes something would arrive as another one.
            raise RenderError(f"Render redirects to {response.headers['Location']}", response.status_code)
        try:
            answer = json_of(response.content) if response.content else None
        except ValueError:
            answer = None
        if not response.ok:
            said = answer.get("message") if isinstance(answer, dict) else None
            raise RenderError(
                f"Render answered {response.status_code}: {said or response.reason}", response.status_code
            )
        return answer


def rollback_target(deploys: list[Deploy]) -> Deploy:
    """The deploy that was live before the one that is. Raises RenderError if the list shows none.

    Deploys are in order, newest first; `deactivated` says that one was live once. One of the commit that is live
    now would change nothing and is passed over. When the live one is itself a rollback, what was live before it is
    what somebody rolled back: that is for a person to name.
    """
    current = next((number for number, deploy in enumerate(deploys) if deploy.status == LIVE), None)
    if current is None:
        raise RenderError("no deploy is live; name the one to go back to")
    if deploys[current].trigger == "rollback":
        raise RenderError("the live deploy is a rollback already; name the one to go back to")
    live = deploys[current].commit
    for deploy in deploys[current + 1 :]:
        if deploy.status == REPLACED and (not live or deploy.commit != live):
            return deploy
    raise RenderError("no earlier deploy that was live is shown; name the one to go back to")
