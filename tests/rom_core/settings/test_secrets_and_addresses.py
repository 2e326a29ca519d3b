"""Rules that hold for every secret and every address, whoever declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import InvalidSettings, address_problem, load_settings

CATALOGUE = Catalogue.installed(hookspecs, [])
SECRETS = [setting.name for setting in CATALOGUE.settings if setting.secret]
# The store's own address is no HTTP one: tests/rom_core/store/test_address.py.
NOT_HTTP = "STATE_URL"
ADDRESSES = [s.name for s in CATALOGUE.settings if s.name.endswith("_URL") and s.name != NOT_HTTP]


def problems(root: Path, **environ: str) -> list[tuple[str, str]]:
    """Why these are refused."""
    with pytest.raises(InvalidSettings) as caught:
        load_settings(CATALOGUE.settings, CATALOGUE.rules, root=root, environ=environ)
    return [(problem.name, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("wrapped", ['"{}"', "'{}'", "{}\n", " {}", "Bearer {}"])
def test_no_secret_is_taken_with_its_wrapping(tmp_path: Path, name: str, wrapped: str) -> None:
    """docker --env-file passes quotes on, `echo` a line break: what nobody would ever send does not open anything."""
    secret = "https://hooks.example/hush" if name.endswith("_URL") else "hush-0123456789"
    for layer in ("environment", "file"):
        environ = {}
        if layer == "environment":
            environ[name] = wrapped.format(secret)
        else:
            text = wrapped.format(secret).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            (tmp_path / ".secrets.toml").write_text(f'[default]\n{name} = "{text}"\n')
        found = problems(tmp_path, **environ)
        assert found[0][0] == name
        assert "would be part of the secret" in found[0][1]
        assert "hush" not in str(found)


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"]
)
def test_nor_one_that_the_aws_client_reads(tmp_path: Path, name: str) -> None:
    """It would be refused by AWS at the first question, with words about a signature."""
    [(found, message)] = problems(tmp_path, **{name: '"hush"'})
    assert found == name
    assert message == "environment: has quotes, which would be part of the secret: write the secret alone"
    assert load_settings(CATALOGUE.settings, CATALOGUE.rules, root=tmp_path, environ={name: "hush"})


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "url", ["http://example.org/x", "http://10.0.0.1/", "ftp://example.org/", "example.org", "https://"]
)
def test_nothing_is_sent_in_the_open(tmp_path: Path, name: str, url: str) -> None:
    """Every setting that holds an address takes https, or http to loopback."""
    assert [found for found, _ in problems(tmp_path, **{name: url})] == [name]
    for fine in ("https://example.org/x", "http://127.0.0.1:9000/x", "http://localhost:9000"):
        assert getattr(load_settings(CATALOGUE.settings, CATALOGUE.rules, root=tmp_path, environ={name: fine}), name)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://example.org", True),
        ("http://[::1]:8000/x", True),
        ("http://127.0.0.1.example.org", False),
        ("https://example.org:0", False),
        ("https://exam ple.org", False),
        ("http://[::1", False),
        ("HTTP://example.org", False),
        ("", False),
    ],
)
def test_addresses(url: str, fine: bool) -> None:
    """By their scheme and host alone; the reason never quotes them, as a webhook's address is a secret."""
    reason = address_problem(url)
    assert (reason is None) is fine
    assert not url or url not in (reason or "")


@pytest.mark.parametrize("other", ["API_KEYS", "ADMIN_TOKEN"])
def test_one_key_opens_one_kind_of_door(tmp_path: Path, other: str) -> None:
    """A value that two of API_KEYS, ADMIN_TOKEN and METRICS_TOKEN share is refused, in every environment."""
    assert [name for name, _ in problems(tmp_path, METRICS_TOKEN="shared", **{other: "one=x,two=shared"})] == [
        "METRICS_TOKEN"
    ]


def test_the_token_of_metrics_is_as_strong_as_a_key(tmp_path: Path) -> None:
    """In staging and production."""
    environ = {"ROM_ENV": "production", "ALLOW_UNAUTHENTICATED": "true", "DATA_RESIDENCY": "any: me, a ground"}
    assert problems(tmp_path, METRICS_TOKEN="x", **environ) == [("METRICS_TOKEN", "is shorter than 32 characters")]
