"""scripts/create-checkpoint.sh on real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Clone, new_clone


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Made once."""
    return new_clone(tmp_path_factory.mktemp("made"))


@pytest.fixture
def clone(made: Clone, tmp_path: Path) -> Clone:
    """A clone with a bare remote."""
    return made.copy(tmp_path)


def test_checkpoints_count_up_from_what_anyone_has_taken(clone: Clone) -> None:
    """The next free number, also after tags that only the remote or only this clone knows; annotated and pushed."""
    assert clone.script("create-checkpoint.sh", "-m", "before the change").stdout.strip() == "v1.2.3-checkpoint-1"
    other = Clone(clone.path.parent, "other")
    other.git("tag", "-a", "-m", "mine", "v1.2.3-checkpoint-9")
    other.git("push", "-q", "origin", "v1.2.3-checkpoint-9")
    clone.git("tag", "-a", "-m", "another version", "v1.2.30-checkpoint-70")
    assert clone.script("create-checkpoint.sh").stdout.strip() == "v1.2.3-checkpoint-10"
    assert clone.at_remote("v1.2.3-checkpoint-10^{commit}") == clone.git("rev-parse", "HEAD")
    assert clone.git("cat-file", "-t", "v1.2.3-checkpoint-1") == "tag"
    assert clone.git("tag", "-l", "--format=%(contents)", "v1.2.3-checkpoint-1") == "before the change"


def test_zeros_in_front_of_a_number_are_no_octal(clone: Clone) -> None:
    """Somebody's v1.2.3-checkpoint-08 is number 8."""
    clone.git("tag", "-a", "-m", "by hand", "v1.2.3-checkpoint-08")
    done = clone.script("create-checkpoint.sh")
    assert done.stdout.strip() == "v1.2.3-checkpoint-9", done.stderr


def test_an_existing_checkpoint_never_moves(clone: Clone) -> None:
    """Neither one that this clone has nor one that only the remote has."""
    other = Clone(clone.path.parent, "other")
    other.script("create-checkpoint.sh")
    before = clone.at_remote("v1.2.3-checkpoint-1")
    clone.commit("more", "1\n")
    done = clone.script("create-checkpoint.sh", "--number", "1")
    assert done.returncode == 1
    assert "never moves" in done.stderr
    assert clone.at_remote("v1.2.3-checkpoint-1") == before
    assert clone.git("tag", "-l") == ""


def test_somebody_quicker_gets_the_number(clone: Clone) -> None:
    """The remote refuses the second one; the next number is tried, and no stray tag stays."""
    hook = clone.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    # Between the look and the push, once, somebody else pushes the same number.
    other = Clone(clone.path.parent, "other")
    other.git("tag", "-a", "-m", "quicker", "v1.2.3-checkpoint-1")
    hook.write_text(
        f"#!/bin/sh\n[ -e {hook}.done ] && exit 0\n: >{hook}.done\nunset GIT_DIR\n"
        f"git -C {other.path} push -q origin v1.2.3-checkpoint-1\n"
    )
    hook.chmod(0o755)
    done = clone.script("create-checkpoint.sh")
    assert done.stdout.strip() == "v1.2.3-checkpoint-2", done.stderr
    assert clone.at_remote("v1.2.3-checkpoint-1") == other.git("rev-parse", "v1.2.3-checkpoint-1")
    assert clone.git("tag", "-l") == "v1.2.3-checkpoint-2"


def test_without_a_remote_or_with_changes_nothing_is_made(clone: Clone) -> None:
    """A checkpoint holds what is committed, and one that is not pushed is none."""
    (clone.path / "new").write_text("x")
    assert "uncommitted" in clone.script("create-checkpoint.sh").stderr
    (clone.path / "new").unlink()
    done = clone.script("create-checkpoint.sh", "--remote", "nowhere")
    assert done.returncode == 1
    assert "there is no remote" in done.stderr
    clone.git("remote", "add", "away", str(clone.path / "away.git"))
    assert "does not answer" in clone.script("create-checkpoint.sh", "--remote", "away").stderr
    assert clone.git("tag", "-l") == ""
    assert clone.script("create-checkpoint.sh", "--number", "0").returncode == 2
