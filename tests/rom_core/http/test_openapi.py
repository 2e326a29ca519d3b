"""GET /openapi.json says the truth: what it documents is what the app answers, for all installed plugins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import store_support
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from support import ScriptedTransport, make_settings, says

from rom_core.concurrency.clock import SystemClock
from rom_core.errors import RomError
from rom_core.http import auth_throttle
from rom_core.http.app import App, create_app
from rom_core.http.error_styles import style_of
from rom_core.http.openapi import TURN_ERRORS
from rom_core.ops.reference import built_in
from rom_core.runtime import Runtime
from rom_core.store.opening import open_store
from rom_core.store.setup import owners

KEY, TOKEN = "client-key-0123456789", "admin-token-0123456789"
# A question may be well-formed and name a model that there is not: no schema can say that.
UNCHECKED = [positive_data_acceptance]
CHATS = ("/api/chat", "/v1/chat/completions", "/v1/messages")
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


class Served:
    """The app of all installed plugins, all switched on, with a model that answers or fails as told."""

    def __init__(self) -> None:
        catalogue = built_in()
        # The exporter of `telemetry`, which has no route, draws lots in a thread: hypothesis allows nobody to.
        switches = {plugin.switch: plugin.name != "telemetry" for plugin in catalogue.plugins.values()}
        self.transport = ScriptedTransport(says("hello there"))
        values = make_settings(
            catalogue, **switches, API_KEYS=KEY, ADMIN_TOKEN=TOKEN, RETRY_MAX_RETRIES=0, BREAKER_FAILURES=1000
        )
        self.runtime = Runtime(catalogue, values, clock=SystemClock(), transport=self.transport)
        self.app: App = create_app(self.runtime)
        self.schema: Any = schemathesis.openapi.from_wsgi("/openapi.json", self.app)

    def headers(self, path: str) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"Bearer {TOKEN if path.startswith('/admin') else KEY}"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One app for all tests; the threads of plugins run, and what they keep has a store."""
    made = Served()
    made.runtime.start()
    store = open_store(
        store_support.address(tmp_path_factory.mktemp("store")), owners(made.runtime.catalogue), lambda: 0.0
    )
    made.runtime.store = store
    with pytest.MonkeyPatch.context() as patch:
        # Each admin route is asked without a token too, all from one address, which would soon be told to wait.
        patch.setattr(auth_throttle, "MAX_WRONG", 10_000)
        patch.setattr(auth_throttle, "MAX_WRONG_IN_ALL", 10_000)
        yield made
    made.runtime.stop()
    store.close()


def test_every_route_is_documented(served: Served) -> None:
    """Every path that is served, the plugins' too, and every method of it, with all that may go wrong."""
    paths = served.schema.raw_schema["paths"]
    assert set(paths) == set(served.app.resources)
    assert set(paths["/api/chat"]) == {"post"}
    responses = paths["/api/chat"]["post"]["responses"]
    expected = {"200", "400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "502", "503", "504"}
    assert set(responses) == expected
    assert "queue_full" in responses["503"]["description"]
    assert "file_not_found" in responses["404"]["description"]


def test_a_form_with_files_is_documented(served: Served) -> None:
    """Beside JSON on /api/chat, alone on /api/files, whose answer is 201."""
    paths = served.schema.raw_schema["paths"]
    content = paths["/api/chat"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"]["properties"]["attachments"]["type"] == "array"
    upload = paths["/api/files"]["post"]
    assert list(upload["requestBody"]["content"]) == ["multipart/form-data"]
    assert {"201", "413", "415", "422", "503"} <= set(upload["responses"])
    assert {"get", "delete"} <= set(paths["/api/files/{file_id}"])


@pytest.mark.parametrize("mode", MODES, ids=["valid", "invalid"])
def test_generated_requests_get_documented_answers(served: Served, mode: GenerationMode) -> None:
    """No request, valid or not, gets a 5xx of ours, an undocumented status or body, or in without a key."""
    asked = []
    for found in served.schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not operation.definition.raw.get("requestBody"):
            continue
        if operation.path == "/admin/events":
            # It would go on as long as its reader stays.
            served.runtime.intake.ending.set()
        _ask(served, operation, mode)
        asked.append(operation.label)
    served.runtime.intake.ending.clear()
    assert {"POST /api/chat", "POST /v1/chat/completions"} <= set(asked)


def _ask(served: Served, operation: Any, mode: GenerationMode) -> None:
    examples = 30 if operation.path in CHATS else 8

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        headers = served.headers(operation.path)
        response = case.call(headers=headers)
        # The model here says the same to everybody, whatever form was asked for.
        unable = response.status_code == 502 and response.json()["code"] == "invalid_output"
        # A list that is too long may make the body too large, which is a refusal as good as another.
        too_large = response.status_code == 413
        # A form has no types: what is meant to be no file, `false` say, is one with that text.
        form = response.status_code == 201 and operation.path == "/api/files"
        excluded = [
            *UNCHECKED,
            *([not_a_server_error] if unable else []),
            *([negative_data_rejection] if too_large or form else []),
        ]
        case.validate_response(response, excluded_checks=excluded, headers=headers)
        # One of the routes takes the process out of service.
        served.runtime.intake.set_drained(None)

    ask()


@pytest.mark.parametrize("error", sorted(set(TURN_ERRORS), key=str))
def test_every_way_a_turn_fails_is_documented(served: Served, error: type[RomError]) -> None:
    """Whatever a turn raises, the status, the media type and the body are as documented, on every chat route."""
    served.transport.steps = [error("it failed")]
    messages = [{"role": "user", "content": "question"}]
    try:
        for path, body in (
            ("/api/chat", {"message": "question"}),
            ("/v1/chat/completions", {"messages": messages}),
            ("/v1/messages", {"messages": messages, "model": "default", "max_tokens": 100}),
        ):
            case = served.schema[path]["POST"].Case(body=body, media_type="application/json")
            response = case.call(headers=served.headers(path))
            assert response.status_code == style_of(path).status(error("it failed"))
            case.validate_response(response, excluded_checks=[*UNCHECKED, not_a_server_error])
    finally:
        served.transport.steps = [says("hello there")]
