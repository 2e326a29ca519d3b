"""Who may use a route of a plugin: by method, and by the names that a setting lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from falcon import testing
from structlog.testing import capture_logs
from support import make_runtime, make_settings

from rom_core.errors import PluginError
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.runtime import Runtime
from rom_core.settings import Setting

KEYS = {name: f"key-of-{name}-0123456789" for name in ("ana", "bia")}
TOKENS = {name: f"token-of-{name}-0123456789" for name in ("ops", "dev")}
PAIRS = {"API_KEYS": KEYS, "ADMIN_TOKEN": TOKENS}
SECRETS = {name: ",".join(f"{who}={secret}" for who, secret in pairs.items()) for name, pairs in PAIRS.items()}
SECRETS["DOOR_TOKEN"] = DOOR = "door-token-0123456789"


class Resource:
    """Answers GET and POST with who asks."""

    def __init__(self, **said: Any) -> None:
        for name, value in said.items():
            setattr(self, name, value)

    def on_get(self, req: Any, resp: Any) -> None:
        """Who asks."""
        resp.media = {"key": req.context.key_name, "admin": req.context.admin_name}

    on_post = on_get


class Mine:
    """A plugin with this resource at /x, and settings for it."""

    def __init__(self, resource: object) -> None:
        self._resource = resource

    @hookimpl
    def rom_settings(self) -> list[Setting]:
        """Two lists of names, and a secret."""
        lists = [Setting(name, list, [], "Names.", item=str, scope="process") for name in ("READERS", "WRITERS")]
        return [*lists, Setting("DOOR_TOKEN", str, "", "The secret.", secret=True)]

    @hookimpl
    def rom_routes(self, app: Any) -> None:
        """The route."""
        app.add_route("/x", self._resource)


def served(resource: object, **settings: Any) -> Runtime:
    """A runtime with this route."""
    runtime, _ = make_runtime(plugins={"mine": Mine(resource)}, **(SECRETS | settings))
    return runtime


def statuses(runtime: Runtime, *asked: tuple[str, str]) -> list[int]:
    """What each (method, secret) gets."""
    client = testing.TestClient(create_app(runtime))
    return [
        client.simulate_request(method, "/x", headers={"Authorization": f"Bearer {secret}"}).status_code
        for method, secret in asked
    ]


def test_auth_may_differ_by_method() -> None:
    """A key reads, an admin writes; HEAD is a GET, and OPTIONS is free."""
    runtime = served(Resource(auth={"GET": "key", "POST": "admin"}))
    key, token = KEYS["ana"], TOKENS["ops"]
    asked = [(method, secret) for secret in (key, token, "wrong") for method in ("GET", "HEAD", "POST", "OPTIONS")]
    assert statuses(runtime, *asked) == [200, 200, 401, 200, 401, 401, 200, 200, 401, 401, 401, 200]


def test_a_secret_of_its_own_may_close_one_method() -> None:
    """The others are open."""
    runtime = served(Resource(auth={"GET": "open", "POST": "token"}, token_setting={"POST": "DOOR_TOKEN"}))
    asked = [("GET", ""), ("POST", ""), ("POST", DOOR), ("POST", KEYS["ana"])]
    assert statuses(runtime, *asked) == [200, 401, 200, 401]


@pytest.mark.parametrize(("auth", "names"), [("key", KEYS), ("admin", TOKENS)])
def test_a_scope_lets_in_whom_its_setting_names(auth: str, names: Mapping[str, str]) -> None:
    """Others are 403 and told in the log; nobody is named: nobody; a star: everybody; a change counts at once."""
    resource = Resource(auth=auth, scope_setting="READERS")
    runtime = served(resource)
    first, second = names
    asked = [("GET", names[first]), ("GET", names[second]), ("GET", "wrong")]
    expected = {
        (): [403, 403, 401],
        (first,): [200, 403, 401],
        ("*",): [200, 200, 401],
        (first, second): [200, 200, 401],
    }
    for listed, found in expected.items():
        runtime.swap(runtime.build(make_settings(runtime.catalogue, MINE_ENABLED=True, READERS=listed, **SECRETS)))
        assert statuses(runtime, *asked) == found
    with capture_logs() as logs:
        runtime.swap(runtime.build(make_settings(runtime.catalogue, MINE_ENABLED=True, READERS=[first], **SECRETS)))
        statuses(runtime, asked[1])
    assert [(line["event"], line["code"]) for line in logs] == [("auth.refused", "forbidden")]


def test_a_scope_may_differ_by_method() -> None:
    """A method without one takes whoever `auth` lets in; the answer says which setting names who may."""
    runtime = served(Resource(scope_setting={"POST": "WRITERS"}), WRITERS=["bia"])
    asked = [(method, KEYS[name]) for name in ("ana", "bia") for method in ("GET", "HEAD", "POST")]
    assert statuses(runtime, *asked) == [200, 200, 403, 200, 200, 200]
    client = testing.TestClient(create_app(runtime))
    refused = client.simulate_post("/x", headers={"X-Api-Key": KEYS["ana"]}).json
    assert (refused["code"], "WRITERS" in refused["detail"]) == ("forbidden", True)


@pytest.mark.parametrize(("listed", "status"), [([], 403), ([""], 403), (["ana"], 403), (["*"], 200)])
def test_without_keys_only_a_star_lets_in(listed: list[str], status: int) -> None:
    """Who has no name is not named."""
    runtime = served(Resource(scope_setting="READERS"), READERS=listed, API_KEYS="")
    client = testing.TestClient(create_app(runtime), headers={"Host": "localhost"})
    assert client.simulate_get("/x").status_code == status


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"auth": {"GET": "key"}}, "auth of POST is ''"),
        ({"auth": {"GET": "key", "POST": "Admin"}}, "auth of POST is 'Admin'"),
        ({"auth": {"GET": "key", "post": "admin"}}, "auth names 'post', which it does not answer"),
        ({"auth": {"GET": "key", "POST": "key", "PUT": "admin"}}, "auth names 'PUT'"),
        ({"auth": "token"}, "no token_setting"),
        ({"auth": {"GET": "open", "POST": "token"}}, "no token_setting"),
        ({"auth": "token", "token_setting": "DOR_TOKEN"}, "DOR_TOKEN, which is no setting"),
        ({"auth": "token", "token_setting": "READERS"}, "READERS, which is no setting of text"),
        ({"scope_setting": "READRS"}, "READRS, which is no setting that is a list"),
        ({"scope_setting": "DOOR_TOKEN"}, "DOOR_TOKEN, which is no setting that is a list"),
        ({"scope_setting": {"PST": "READERS"}}, "scope_setting names 'PST'"),
        ({"auth": "open", "scope_setting": "READERS"}, "and auth is 'open'"),
        ({"auth": "token", "token_setting": "DOOR_TOKEN", "scope_setting": "READERS"}, "and auth is 'token'"),
    ],
)
def test_what_cannot_be_meant_stops_the_start(said: dict[str, Any], reason: str) -> None:
    """A typing error opens no route: the plugin is refused by its name."""
    with pytest.raises(PluginError, match=reason) as caught:
        create_app(served(Resource(**said)))
    assert caught.value.plugin == "mine"


def test_the_api_says_who_may() -> None:
    """/openapi.json has the credentials and refusals of each method."""
    resource = Resource(auth={"GET": "open", "POST": "key"}, scope_setting={"POST": "WRITERS"})
    client = testing.TestClient(create_app(served(resource)))
    path = client.simulate_get("/openapi.json").json["paths"]["/x"]
    assert (path["get"]["security"], path["post"]["security"]) == ([], [{"bearer": []}, {"apiKey": []}])
    assert "401" not in path["get"]["responses"]
    assert {"401", "403"} <= set(path["post"]["responses"])
    assert "forbidden" in str(path["post"]["responses"]["403"])
