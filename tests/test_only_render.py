"""Nothing in the tree names another platform to deploy to than Render."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


# Platforms to deploy to, and the files that they look for. Not the names of things that mean something else as well.
ELSEWHERE = (
    "heroku",
    "vercel",
    "netlify",
    r"railway\.(?:app|com|json|toml)",
    r"fly\.(?:io|toml)",
    "flyctl",
    "koyeb",
    "northflank",
    "dokku",
    "coolify",
    "caprover",
    "scalingo",
    "zeabur",
    r"platform\.sh",
    "clever cloud",
    "pythonanywhere",
    "kubernetes",
    r"\bk8s\b",
    "kubectl",
    r"\bhelm\b",
    "openshift",
    "cloud ?foundry",
    "docker swarm",
    "docker-compose",
    "dockerfile",
    "procfile",
    "cloud ?run",
    "app ?engine",
    "google cloud",
    "elastic ?beanstalk",
    "app ?runner",
    "fargate",
    r"\becs\b",
    r"\beks\b",
    r"\baks\b",
    r"\bgke\b",
    r"\bazure\b",
    "digital ?ocean",
    "linode",
    "hetzner",
    "cloudflare workers",
    "replit",
)


@pytest.mark.parametrize("text", ["Heroku", "fly.toml", "on K8s,", "a Dockerfile", "Cloud Run", "AWS ECS", "Procfile"])
def test_another_platform_would_be_found(text: str) -> None:
    """A pattern that matches nothing would let everything in."""
    assert re.search("|".join(ELSEWHERE), f"the way {text}\n", re.IGNORECASE)


def test_only_render_is_named() -> None:
    """No file of the tree, and no name of one, names another platform to deploy to."""
    pattern = re.compile("|".join(ELSEWHERE), re.IGNORECASE)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # A lock names what other people's packages are called; what is vendored is their text; a picture has none.
    files = [
        path
        for path in listed.stdout.split("\0")
        if (ROOT / path).is_file()
        and "lock" not in Path(path).name
        and "vendor" not in Path(path).parts
        and Path(path).suffix != ".png"
    ]
    assert {"render.yaml", "README.md", "rom_core/ops/deploy.py", ".github/workflows/deploy.yml"} <= set(files)
    found = [
        path
        for path in files
        if ROOT / path != Path(__file__)
        and pattern.search(f"{path}\n{(ROOT / path).read_bytes().decode('utf-8', 'replace')}")
    ]
    assert found == []
