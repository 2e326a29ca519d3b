"""scripts/rollback.sh on real repositories, forward and back in both modes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from repositories import SCRIPTS, Clone, new_clone

TAG = "v1.2.3-checkpoint-1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Made once."""
    clone = new_clone(tmp_path_factory.mktemp("made"))
    clone.commit("feature", "good\n")
    clone.script("create-checkpoint.sh")
    clone.push()
    clone.commit("feature", "bad\n")
    clone.git("rm", "-q", "settings.toml")
    clone.commit("another", "worse\n")
    clone.push()
    return clone


@pytest.fixture
def clone(made: Clone, tmp_path: Path) -> Clone:
    """A clone with a checkpoint and two commits after it, one of which deletes a file; all pushed."""
    return made.copy(tmp_path)


def test_revert_keeps_the_history_and_forward_is_possible_again(clone: Clone) -> None:
    """The remote's tree is the checkpoint's, on top of what was; the same way leads forward to a later checkpoint."""
    before = clone.at_remote("main")
    later = clone.script("create-checkpoint.sh").stdout.strip()
    local = clone.git("rev-parse", "main")
    done = clone.script("rollback.sh", TAG, "--yes")
    assert done.returncode == 0, done.stderr
    assert clone.at_remote("main^{tree}") == clone.at_remote(f"{TAG}^{{tree}}") != clone.at_remote(f"{before}^{{tree}}")
    assert clone.at_remote("main^") == before
    assert clone.git("rev-parse", "main") == local
    assert (clone.path / "another").read_text() == "worse\n"
    assert clone.script("rollback.sh", later, "--yes").returncode == 0
    assert clone.at_remote("main^{tree}") == clone.at_remote(f"{before}^{{tree}}")


def test_force_makes_the_branch_the_checkpoint_itself(clone: Clone) -> None:
    """Later commits leave the history, and are in the backup."""
    lost = clone.at_remote("main")
    done = clone.script("rollback.sh", TAG, "--mode=force", "--yes")
    assert done.returncode == 0, done.stderr
    assert clone.at_remote("main") == clone.at_remote(f"{TAG}^{{commit}}")
    [backup] = clone.backups.iterdir()
    restored = clone.path.parent / "restored"
    clone.git("clone", "-q", "--mirror", str(backup / "repository.bundle"), str(restored))
    assert clone.git("-C", str(restored), "cat-file", "-t", lost) == "commit"
    clone.git("push", "-q", "origin", f"{lost}:main")
    assert clone.at_remote("main") == lost


def test_checking_a_tag_out_and_pushing_main_would_change_nothing(clone: Clone) -> None:
    """The obvious two lines push a local main that has not moved: the reason for this script."""
    before = clone.at_remote("main")
    clone.git("checkout", "-q", TAG)
    clone.git("push", "-q", "origin", "main", "--force-with-lease")
    assert clone.at_remote("main") == before
    assert clone.script("rollback.sh", TAG, "--yes").returncode == 0
    assert clone.at_remote("main^{tree}") == clone.at_remote(f"{TAG}^{{tree}}")


def test_a_local_main_that_is_behind_would_take_others_work_away(clone: Clone) -> None:
    """The same two lines again: the lease compares with the last fetch, not with what anybody looked at."""
    clone.git("reset", "-q", "--hard", "HEAD~1")
    clone.git("checkout", "-q", TAG)
    clone.git("push", "-q", "origin", "main", "--force-with-lease")
    assert clone.at_remote("main") == clone.git("rev-parse", "main") != clone.at_remote(f"{TAG}^{{commit}}")


@pytest.mark.parametrize("mode", ["revert", "force"])
def test_a_remote_that_moves_meanwhile_is_left_alone(clone: Clone, mode: str) -> None:
    """What somebody pushes between the look and the push is never lost: here during the backup."""
    other = Clone(clone.path.parent, "other")
    theirs = other.commit("theirs", "urgent\n")
    path = clone.git_in_the_way("bundle create", f"git -C {other.path} push -q origin main")
    done = clone.script("rollback.sh", TAG, f"--mode={mode}", "--yes", PATH=path)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert clone.at_remote("main") == theirs


def test_not_even_at_the_very_last_moment(clone: Clone) -> None:
    """After git has looked at the remote, before it pushes."""
    other = Clone(clone.path.parent, "other")
    theirs = other.commit("theirs", "urgent\n")
    hook = clone.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nunset GIT_DIR\ngit -C {other.path} push -q origin main\n")
    hook.chmod(0o755)
    assert clone.script("rollback.sh", TAG, "--yes").returncode == 1
    assert clone.at_remote("main") == theirs


def test_a_stale_clone_takes_back_what_it_has_never_seen(clone: Clone) -> None:
    """The remote's main counts, not this clone's idea of it."""
    other = Clone(clone.path.parent, "other")
    theirs = other.commit("theirs", "bad too\n")
    other.push()
    done = clone.script("rollback.sh", TAG, "--yes")
    assert done.returncode == 0
    assert "bad too" in done.stderr
    assert clone.at_remote("main^") == theirs
    assert clone.at_remote("main^{tree}") == clone.at_remote(f"{TAG}^{{tree}}")


def test_without_a_plain_yes_nothing_happens(clone: Clone) -> None:
    """What would change is shown, and neither the remote nor BACKUP_DIR is touched."""
    before = clone.at_remote("main")
    for answer in ("", "no\n", "y\n"):
        done = clone.script("rollback.sh", TAG, stdin=answer)
        assert done.returncode == 1
        assert "another: worse" in done.stderr
        assert clone.at_remote("main") == before
    assert not clone.backups.exists()


def test_yes_can_be_typed(clone: Clone) -> None:
    """Asked and answered."""
    assert clone.script("rollback.sh", TAG, stdin="yes\n").returncode == 0
    assert clone.at_remote("main^{tree}") == clone.at_remote(f"{TAG}^{{tree}}")


def test_a_missing_tag_lists_those_that_exist(clone: Clone) -> None:
    """A tag that only this clone has is missing too: nobody else could check it."""
    clone.git("tag", "v1.2.3-checkpoint-7")
    before = clone.at_remote("main")
    done = clone.script("rollback.sh", "v1.2.3-checkpoint-7", "--yes")
    assert done.returncode == 1
    assert TAG in done.stderr
    assert clone.at_remote("main") == before


def test_a_tag_that_differs_from_the_remotes_is_refused(clone: Clone) -> None:
    """Somebody moved a checkpoint: a person has to find out which one is right."""
    clone.git("tag", "-f", "-a", "-m", "moved", TAG)
    done = clone.script("rollback.sh", TAG, "--yes")
    assert done.returncode == 1
    assert "never moves" in done.stderr


def test_uncommitted_changes_are_refused_unless_told(clone: Clone) -> None:
    """With --allow-dirty they stay exactly as they are."""
    (clone.path / "feature").write_text("in the middle of it\n")
    before = clone.at_remote("main")
    assert clone.script("rollback.sh", TAG, "--yes").returncode == 1
    assert clone.at_remote("main") == before
    assert clone.script("rollback.sh", TAG, "--yes", "--allow-dirty").returncode == 0
    assert clone.at_remote("main^{tree}") == clone.at_remote(f"{TAG}^{{tree}}")
    assert (clone.path / "feature").read_text() == "in the middle of it\n"
    [backup] = clone.backups.iterdir()
    assert json.loads((backup / "manifest.json").read_text())["uncommitted_changes"] is True


def test_no_backup_no_rollback(clone: Clone) -> None:
    """A backup that cannot be written stops everything."""
    clone.backups.write_text("a file is in the way")
    before = clone.at_remote("main")
    done = clone.script("rollback.sh", TAG, "--yes")
    assert done.returncode == 1
    assert "backup failed" in done.stderr
    assert clone.at_remote("main") == before


def test_what_is_equal_already_is_left_alone(clone: Clone) -> None:
    """The second of two equal rollbacks makes no second commit."""
    clone.script("rollback.sh", TAG, "--yes")
    once = clone.at_remote("main")
    done = clone.script("rollback.sh", TAG, "--yes")
    assert done.returncode == 0
    assert "already" in done.stderr
    assert clone.at_remote("main") == once


def test_a_remote_that_refuses_is_not_reported_as_rolled_back(clone: Clone) -> None:
    """A protected branch: exit 1, and it says so."""
    hook = clone.remote / "hooks" / "update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    before = clone.at_remote("main")
    done = clone.script("rollback.sh", TAG, "--yes")
    assert done.returncode == 1
    assert "protected" in done.stderr
    assert clone.at_remote("main") == before


def test_wrong_use_is_exit_code_2(clone: Clone) -> None:
    """And nothing happens."""
    before = clone.at_remote("main")
    for arguments in ((), (TAG, "--mode=reset"), (TAG, TAG), (TAG, "--force")):
        assert clone.script("rollback.sh", *arguments).returncode == 2, arguments
    assert clone.at_remote("main") == before


@pytest.mark.parametrize(
    ("script", "option", "form"),
    [
        ("rollback.sh", "--remote", "{}={}"),
        ("rollback.sh", "--remote", "{} {}"),
        ("rollback.sh", "--branch", "{}={}"),
        ("rollback.sh", "--branch", "{} {}"),
        ("rollback.sh", "TAG", ""),
        ("create-checkpoint.sh", "--remote", "{}={}"),
        ("create-checkpoint.sh", "--remote", "{} {}"),
    ],
)
def test_a_value_is_never_taken_as_an_option_of_git(
    clone: Clone, tmp_path: Path, script: str, option: str, form: str
) -> None:
    """Some options of git run programs: what begins with a dash, or names no remote and no ref, is refused."""
    mark = tmp_path / "executed"
    before = clone.at_remote("main")
    hostile = (
        f"--upload-pack=touch {mark};:",
        f"--receive-pack=touch {mark};:",
        "--exec=x",
        "-u",
        f"ext::sh -c touch% {mark}",
        "main:refs/heads/other",
        "a b",
        "../x..y",
    )
    for value in hostile:
        named = (f"{option}={value}",) if form == "{}={}" else (option, value)
        target = (value,) if option == "TAG" else named
        tag = (TAG,) if script == "rollback.sh" and option != "TAG" else ()
        done = clone.script(script, *tag, *target, *(("--yes",) if script == "rollback.sh" else ()))
        assert done.returncode in (1, 2), (value, done.stderr)
        assert not mark.exists()
    assert clone.at_remote("main") == before
    assert not clone.backups.exists()


def test_every_call_of_git_with_a_name_from_outside_ends_its_options() -> None:
    """Read off the scripts: `--` stands before what somebody may name."""
    for path in SCRIPTS.glob("*.sh"):
        for line in path.read_text().splitlines():
            if re.search(r"\bgit (?:ls-remote|fetch|push|tag --annotate|tag --delete)\b", line):
                assert " -- " in line, f"{path.name}: {line.strip()}"
