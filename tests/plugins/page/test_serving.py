"""The files of the pages: names by hash, caching, compression, headers, and nothing outside their folder."""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon import testing
from support import make_runtime

from plugins.page import Page
from plugins.page.plugin import STATIC
from plugins.page.site import Site
from rom_core.http.app import create_app

FIRST_LOAD_BYTES = 150_000
SCRIPTS = [path for path in sorted(STATIC.rglob("*.[jc]s*")) if path.suffix in (".js", ".css")]
OWN = [path for path in SCRIPTS if "vendor" not in path.parts]


@pytest.fixture(scope="module")
def client() -> Iterator[testing.TestClient]:
    """An app with the plugin on, that asks for keys."""
    runtime, _ = make_runtime(plugins={"page": Page()}, PAGE_ENABLED=True, API_KEYS="office=key-0123456789")
    yield testing.TestClient(create_app(runtime))
    runtime.stop()


def references(html: str) -> list[str]:
    """All files that a page refers to."""
    return sorted(set(re.findall(r'"(/assets/[^"]+\.[0-9a-f]{12}\.[a-z]+)"', html)))


@pytest.mark.parametrize("path", ["/", "/console"])
def test_every_file_that_a_page_refers_to_is_served(client: testing.TestClient, path: str) -> None:
    """By a name with the hash of its content, to be kept for ever; the page itself is asked for again each time."""
    html = client.simulate_get(path)
    assert (html.status_code, html.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert html.headers["cache-control"] == "no-cache"
    named = references(html.text)
    assert len(named) >= 3
    for name in named:
        asset = client.simulate_get(name)
        assert (asset.status_code, asset.headers["cache-control"]) == (200, "public, max-age=31536000, immutable"), name
        assert hashlib.sha256(asset.content).hexdigest()[:12] in name
        assert asset.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r'(?:src|href)="(?!/assets/|#)', html.text)


def test_every_import_of_a_script_is_in_the_import_map(client: testing.TestClient) -> None:
    """A script that is missed there would be asked for by a name that is not served."""
    site = Site(STATIC)
    mapped = set(re.findall(r'"/assets/([^"]+?)":', client.simulate_get("/").text))
    for name, content in site.files.items():
        for found in re.findall(
            r"""(?:from|import)\s*\(?\s*["']\./([^"']+)["']""", content.plain.decode(errors="replace")
        ):
            assert f"{name.rpartition('/')[0]}/{found}" in site.files, (name, found)
    assert {"app/chat.js", "app/markdown.js", "vendor/marked.esm.js"} <= mapped


@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
def test_what_has_not_changed_is_not_sent_again(client: testing.TestClient, path: str) -> None:
    """304 with the same headers for the same ETag, in either coding; another ETag gets it whole."""
    for coding in ("gzip", "identity"):
        headers = {"Accept-Encoding": coding}
        whole = client.simulate_get(path, headers=headers)
        again = client.simulate_get(path, headers=headers | {"If-None-Match": whole.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == whole.headers["etag"]
        assert again.headers["cache-control"] == whole.headers["cache-control"]
        assert client.simulate_get(path, headers=headers | {"If-None-Match": '"other"'}).status_code == 200
    assert client.simulate_get(path, headers={"If-None-Match": "*"}).status_code == 304


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("gzip;q=0, *", False), ("identity", False), ("", False)],
)
def test_files_are_compressed_for_whoever_takes_that(client: testing.TestClient, accepted: str, packed: bool) -> None:
    """As Accept-Encoding says (RFC 9110); caches are told that it matters."""
    answer = client.simulate_get("/", headers={"Accept-Encoding": accepted})
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    text = gzip.decompress(answer.content) if packed else answer.content
    assert text.startswith(b"<!doctype html>")


def test_head_has_the_headers_alone(client: testing.TestClient) -> None:
    """Probes and link checkers."""
    answer = client.simulate_head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"]


def test_the_first_load_is_small(client: testing.TestClient) -> None:
    """HTML and everything that it names, compressed."""
    headers = {"Accept-Encoding": "gzip"}
    html = client.simulate_get("/", headers=headers)
    named = references(gzip.decompress(html.content).decode())
    sizes = [len(client.simulate_get(name, headers=headers).content) for name in named]
    assert len(html.content) + sum(sizes) < FIRST_LOAD_BYTES


@pytest.mark.parametrize(
    "path",
    [
        "/assets/app/main.js",
        "/assets/../plugin.py",
        "/assets/%2e%2e/plugin.py",
        "/assets/..%2f..%2fplugin.py",
        "/assets//etc/passwd",
        "/assets/index.html",
        "/assets/",
        "/index.html",
        "/assets/vendor/vendored.toml",
    ],
)
def test_nothing_else_is_served(client: testing.TestClient, path: str) -> None:
    """Neither an unhashed name nor a way out of the folder."""
    assert client.simulate_get(path).status_code == 404


def test_an_old_hash_is_not_found(client: testing.TestClient) -> None:
    """Another content under a name that may be kept for ever would be kept."""
    assert client.simulate_get("/assets/app/main.0123456789ab.js").status_code == 404


@pytest.mark.parametrize("path", ["/", "/console"])
def test_the_policy_lets_nothing_run_but_our_files(client: testing.TestClient, path: str) -> None:
    """No inline code but the import map, by its hash; no third party; no frame."""
    answer = client.simulate_get(path)
    policy = dict(entry.split(" ", 1) for entry in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'self' 'sha256-[A-Za-z0-9+/=]{44}'", policy["script-src"])
    assert {policy[name] for name in ("style-src", "connect-src", "font-src")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert not re.search(r"\s(?:style|on\w+)=", answer.text)
    assert re.findall(r"<script(?: [^>]*)?>", answer.text.replace('<script type="importmap">', "")) == re.findall(
        r'<script [^>]*src="[^"]+"[^>]*>', answer.text
    )


def test_the_page_knows_whether_a_key_is_needed(client: testing.TestClient) -> None:
    """Before any request: it is in the page."""
    assert 'data-keys="needed"' in client.simulate_get("/").text
    runtime, _ = make_runtime(plugins={"page": Page()}, PAGE_ENABLED=True)
    assert 'data-keys="none"' in testing.TestClient(create_app(runtime)).simulate_get("/").text
    runtime.stop()


def test_while_the_plugin_is_off_there_is_no_page() -> None:
    """404 `plugin_disabled`, as of every plugin."""
    runtime, _ = make_runtime(plugins={"page": Page()}, PAGE_ENABLED=False)
    answer = testing.TestClient(create_app(runtime)).simulate_get("/")
    assert (answer.status_code, answer.json["code"]) == (404, "plugin_disabled")
    runtime.stop()


def test_what_comes_from_others_is_what_they_published() -> None:
    """Each vendored file is listed with version, source and licence, and has the hash that is written there."""
    folder = STATIC / "vendor"
    listed: dict[str, Any] = tomllib.loads((folder / "vendored.toml").read_text())
    assert sorted(listed) == sorted(path.name for path in folder.iterdir() if path.suffix in (".js", ".css"))
    for name, row in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == row["sha256"], name
        assert row["version"] in row["source"]
        assert row["licence"]
        assert (folder / row["licence_file"]).is_file()


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(STATIC)))
def test_no_script_of_ours_makes_code_or_html_of_a_string(path: Path) -> None:
    """And none is longer than 350 lines, style sheets not than 450."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\beval\(|new Function|\.innerHTML|insertAdjacentHTML|document\.write", text)
    assert len(text.splitlines()) <= (350 if path.suffix == ".js" else 450)
