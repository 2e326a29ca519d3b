"""scripts/backup-before-pr.sh on real repositories."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from repositories import SCRIPTS, Clone, new_clone


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Made once."""
    return new_clone(tmp_path_factory.mktemp("made"))


@pytest.fixture
def clone(made: Clone, tmp_path: Path) -> Clone:
    """A clone with a bare remote."""
    return made.copy(tmp_path)


def backups(clone: Clone) -> list[Path]:
    """Everything in BACKUP_DIR, hidden or not."""
    return sorted(clone.backups.iterdir()) if clone.backups.exists() else []


def test_a_backup_restores_every_branch_and_tag(clone: Clone) -> None:
    """They and a detached HEAD come back from the bundle alone, and the manifest tells the truth."""
    clone.git("branch", "aside")
    clone.git("tag", "-a", "-m", "kept", "kept")
    clone.git("checkout", "-q", "--detach")
    lonely = clone.commit("lonely", "on no branch\n")
    done = clone.script("backup-before-pr.sh")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert backups(clone) == [folder]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["commit"], manifest["branch"]) == (lonely, "(detached)")
    assert manifest["uncommitted_changes"] is False
    assert sorted(manifest["sha256"]) == ["repository.bundle", "settings.toml"]
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    restored = clone.path.parent / "restored"
    clone.git("clone", "-q", "--mirror", str(folder / "repository.bundle"), str(restored))
    refs = ("for-each-ref", "--format=%(objectname) %(refname)")
    assert "refs/remotes/origin/main" in clone.git(*refs)
    assert clone.git("-C", str(restored), *refs) == clone.git(*refs)
    assert clone.git("-C", str(restored), "show", f"{lonely}:lonely") == "on no branch"


def test_what_was_never_published_stays_out(clone: Clone) -> None:
    """A stash, notes and refs of other tools hold what somebody put aside, a token among it: no trace in the bundle."""
    token = "put-aside-0123456789abcdef"
    clone.git("notes", "add", "-m", f"ADMIN_TOKEN={token}")
    (clone.path / "settings.toml").write_text(f'[default]\nADMIN_TOKEN = "{token}"\n')
    clone.git("stash", "-q")
    clone.git("update-ref", "refs/mine/kept", "refs/stash")
    done = clone.script("backup-before-pr.sh")
    assert done.returncode == 0, done.stderr
    restored = clone.path.parent / "restored"
    clone.git("clone", "-q", "--mirror", str(Path(done.stdout.strip()) / "repository.bundle"), str(restored))
    named = clone.git("-C", str(restored), "for-each-ref", "--format=%(refname)").splitlines()
    assert named
    assert all(name.startswith(("refs/heads/", "refs/remotes/", "refs/tags/")) for name in named)
    listed = clone.git(
        "-C", str(restored), "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"
    )
    blobs = [line.split()[0] for line in listed.splitlines() if line.endswith(" blob")]
    objects = "\n".join(clone.git("-C", str(restored), "cat-file", "blob", blob) for blob in blobs)
    assert "MAX_TOKENS = 4096" in objects
    assert token not in objects


def test_uncommitted_changes_are_refused_unless_told(clone: Clone) -> None:
    """A new file is enough to refuse; with --allow-dirty the manifest says that something is missing."""
    (clone.path / "new file").write_text("x")
    refused = clone.script("backup-before-pr.sh")
    assert refused.returncode == 1
    assert "--allow-dirty" in refused.stderr
    assert backups(clone) == []
    done = clone.script("backup-before-pr.sh", "--allow-dirty")
    assert done.returncode == 0
    manifest = json.loads((Path(done.stdout.strip()) / "manifest.json").read_text())
    assert manifest["uncommitted_changes"] is True


def test_secrets_stay_out(clone: Clone) -> None:
    """Files for secrets are never copied, and settings.toml is not either once a secret stands in it."""
    for name in (".env", ".secrets.local.toml", "settings.local.toml"):
        (clone.path / name).write_text('ADMIN_TOKEN = "hush"\n')
    (clone.path / "settings.toml").write_text('[production]\nADMIN_TOKEN = "hush"\n')
    done = clone.script("backup-before-pr.sh", "--allow-dirty")
    folder = Path(done.stdout.strip())
    assert "settings.toml is left out" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "repository.bundle"]


def test_old_backups_go_and_other_folders_stay(clone: Clone) -> None:
    """The newest N are kept, by name; what is no backup is nobody's to delete."""
    for day in range(1, 5):
        folder = clone.backups / f"2020010{day}T000000Z-aaaaaaaaaa"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    (clone.backups / "19990101T000000Z-unfinished").mkdir()
    (clone.backups / "notes").mkdir()
    done = clone.script("backup-before-pr.sh", "--keep", "3")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in backups(clone) if path.name[:2] == "20" or path.name in ("notes",)] == [
        "20200103T000000Z-aaaaaaaaaa",
        "20200104T000000Z-aaaaaaaaaa",
        Path(done.stdout.strip()).name,
        "notes",
    ]
    assert (clone.backups / "19990101T000000Z-unfinished").exists()


def test_backups_of_one_second_are_pruned_in_their_order(clone: Clone) -> None:
    """However many a second has, whatever their commits and the clocks of others say: the one just made stays."""
    ahead = clone.backups / "29991231T235959Z-aaaaaaaaaa"
    ahead.mkdir(parents=True)
    (ahead / "manifest.json").write_text("{}")
    path = clone.date_in_the_way("20261124T204202Z")
    made = []
    for number in range(5):
        if number % 3 == 0:
            clone.commit("count", f"{number}\n")
        done = clone.script("backup-before-pr.sh", "--keep", "3", PATH=path)
        assert done.returncode == 0, done.stderr
        made.append(Path(done.stdout.strip()))
        assert (made[-1] / "manifest.json").exists()
    assert set(backups(clone)) == {ahead, *made[-2:]}
    alone = Path(clone.script("backup-before-pr.sh", "--keep", "1", PATH=path).stdout.strip())
    assert set(backups(clone)) == {ahead, alone}


def test_a_folder_within_the_repository_does_not_make_it_dirty(clone: Clone) -> None:
    """BACKUP_DIR=backups works twice, with a checkpoint in between; the repository itself is no such folder."""
    for _ in range(2):
        done = clone.script("backup-before-pr.sh", BACKUP_DIR="kept/backups")
        assert done.returncode == 0, done.stderr
        assert clone.script("create-checkpoint.sh").returncode == 0
    assert len(list((clone.path / "kept/backups").glob("*/manifest.json"))) == 2
    assert clone.script("backup-before-pr.sh", BACKUP_DIR=".").returncode == 1
    assert clone.git("status", "--porcelain") == ""


def test_settings_are_copied_as_they_stand(clone: Clone) -> None:
    """The bundle has the committed ones; what differs from them is worth keeping too."""
    (clone.path / "settings.toml").write_text("[default]\nMAX_TOKENS = 1\n")
    done = clone.script("backup-before-pr.sh", "--allow-dirty")
    assert "copied as they stand" in done.stderr
    assert "MAX_TOKENS = 1" in (Path(done.stdout.strip()) / "settings.toml").read_text()


def test_a_backup_that_is_killed_without_a_chance_counts_for_nothing(clone: Clone) -> None:
    """SIGKILL leaves an unfinished folder: hidden, without a manifest, swept up later, and no backup to anyone."""
    path = clone.git_in_the_way("clone --quiet", "kill -9 $PPID")
    assert clone.script("backup-before-pr.sh", PATH=path).returncode == -signal.SIGKILL
    [left] = backups(clone)
    assert left.name.startswith(".partial-")
    os.utime(left, (1, 1))
    done = clone.script("backup-before-pr.sh")
    assert backups(clone) == [Path(done.stdout.strip())]


def test_an_interrupted_backup_leaves_nothing_that_looks_like_one(clone: Clone, tmp_path: Path) -> None:
    """SIGTERM in the middle: no folder is left, and the next run succeeds."""
    path = clone.git_in_the_way("bundle verify", f": >{tmp_path / 'waiting'}; exec sleep 30")
    environ = clone.environ(PATH=path)
    with subprocess.Popen(
        ["bash", str(SCRIPTS / "backup-before-pr.sh")], cwd=clone.path, env=environ, start_new_session=True
    ) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "waiting").exists():
            assert time.monotonic() < end, "the backup did not get to the point"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=60) != 0
    assert backups(clone) == []
    assert clone.script("backup-before-pr.sh").returncode == 0
    assert len(backups(clone)) == 1


def test_a_bundle_that_does_not_hold_everything_is_no_backup(clone: Clone, tmp_path: Path) -> None:
    """A shallow clone cannot be backed up: the trial clone finds out."""
    clone.commit("second", "2\n")
    clone.push()
    shallow = tmp_path / "shallow"
    clone.git("clone", "-q", "--depth=1", f"file://{clone.remote}", str(shallow))
    clone.path = shallow
    done = clone.script("backup-before-pr.sh")
    assert done.returncode != 0
    assert backups(clone) == []


def test_a_ref_that_did_not_make_it_is_noticed(clone: Clone) -> None:
    """A bundle may verify and clone, and still lack a branch."""
    clone.git("branch", "aside")
    path = clone.git_in_the_way("bundle create", 'exec git bundle create "$4" main')
    done = clone.script("backup-before-pr.sh", PATH=path)
    assert done.returncode == 1
    assert "lacks refs" in done.stderr
    assert backups(clone) == []


def test_wrong_use_is_exit_code_2(clone: Clone) -> None:
    """And nothing is written."""
    for arguments in (("--keep", "0"), ("--keep=many",), ("--keep",), ("--verbose",)):
        assert clone.script("backup-before-pr.sh", *arguments).returncode == 2, arguments
    assert backups(clone) == []
