#!/usr/bin/env bash
# Make the remote's main equal to a checkpoint. Works on commits alone: neither the working tree nor a local branch is
# touched, so it can be run from any state of them. Pushing a local main after checking out a tag would change nothing,
# since that main has not moved.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

usage() {
  cat <<'USAGE'
usage: scripts/rollback.sh TAG [--mode=revert|force] [--yes] [--allow-dirty] [--remote NAME] [--branch NAME]

  --mode=revert  a new commit on top, whose tree is the checkpoint's; the history is kept (the default)
  --mode=force   the branch points to the checkpoint itself again; later commits leave its history
  --yes          do not ask
  --allow-dirty  although there are uncommitted changes; they stay as they are
  --remote NAME  default: origin
  --branch NAME  default: main

Shows what would change, asks, backs up (scripts/backup-before-pr.sh), pushes only if the branch is still at the commit
that was shown, and looks at the remote afterwards.
USAGE
}
say() { printf '%s\n' "$*" >&2; }
die() { say "rollback: $*"; exit 1; }
misused() { say "rollback: $*"; usage >&2; exit 2; }

tag=
mode=revert
yes=false
remote=origin
branch=main
backup_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --mode=*) mode=${1#*=} ;;
    --mode) [ $# -gt 1 ] || misused "--mode needs revert or force"; mode=$2; shift ;;
    --yes) yes=true ;;
    --allow-dirty) backup_options+=(--allow-dirty) ;;
    --remote=*) remote=${1#*=} ;;
    --remote) [ $# -gt 1 ] || misused "--remote needs a name"; remote=$2; shift ;;
    --branch=*) branch=${1#*=} ;;
    --branch) [ $# -gt 1 ] || misused "--branch needs a name"; branch=$2; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) misused "unknown argument: $1" ;;
    *) [ -z "$tag" ] || misused "one tag at a time"; tag=$1 ;;
  esac
  shift
done
[ -n "$tag" ] || misused "which checkpoint?"
case "$mode" in revert | force) ;; *) misused "--mode is revert or force, not '$mode'" ;; esac

cd "$(git rev-parse --show-toplevel)"
# Git takes what begins with a dash as an option, and some of its options run programs; a colon would name another ref.
plain_ref() { case "$1" in -*) return 1 ;; esac; git check-ref-format "$2/$1"; }
case "$remote" in -* | *[!A-Za-z0-9._/-]*) misused "--remote is the name of a remote, not '$remote'" ;; esac
git remote get-url -- "$remote" >/dev/null 2>&1 || die "there is no remote '$remote'"
plain_ref "$branch" refs/heads || misused "--branch is the name of a branch, not '$branch'"
plain_ref "$tag" refs/tags || misused "'$tag' cannot be a tag"
if [ ${#backup_options[@]} -eq 0 ] && [ -n "$(git status --porcelain)" ]; then
  die "there are uncommitted changes; they would stay as they are, but not be in the backup: commit them, or --allow-dirty"
fi

at_remote() { git ls-remote --exit-code -- "$remote" "$1" | cut -f 1; }
listed=$(git ls-remote -- "$remote" "refs/heads/$branch" "refs/tags/$tag") || die "the remote '$remote' does not answer"
tagged=$(awk -v ref="refs/tags/$tag" '$2 == ref { print $1 }' <<<"$listed")
if [ -z "$tagged" ]; then
  say "rollback: '$remote' has no tag $tag; its newest checkpoints are:"
  git ls-remote --tags --refs --sort=-version:refname -- "$remote" 'refs/tags/v*-checkpoint-*' |
    sed -n '1,10s|.*refs/tags/|  |p' >&2
  exit 1
fi
git fetch --quiet --no-tags -- "$remote" "+refs/heads/$branch:refs/remotes/$remote/$branch" ||
  die "'$remote' has no branch $branch"
observed=$(git rev-parse --verify "refs/remotes/$remote/$branch^{commit}")
git fetch --quiet --no-tags -- "$remote" "refs/tags/$tag"
target=$(git rev-parse --verify --quiet "$tagged^{commit}") || die "$tag at '$remote' is not a commit"
mine=$(git rev-parse --verify --quiet "refs/tags/$tag" || true)
if [ -n "$mine" ] && [ "$mine" != "$tagged" ]; then
  die "$tag is another one here than at '$remote'; a checkpoint never moves, find out which is right first"
fi

tree() { git rev-parse "$1^{tree}"; }
if [ "$observed" = "$target" ] || { [ "$mode" = revert ] && [ "$(tree "$observed")" = "$(tree "$target")" ]; }; then
  say "rollback: $remote/$branch is equal to $tag already"
  exit 0
fi

count=$(git rev-list --count "$target..$observed")
say "$remote/$branch is at $(git log -1 --format='%h (%cs) %s' "$observed")"
say "$tag is $(git log -1 --format='%h (%cs) %s' "$target")"
git merge-base --is-ancestor "$target" "$observed" || say "NOTE: $tag is not in the history of $remote/$branch"
say "What $count commits since then changed is taken back:"
git log --oneline --no-decorate --max-count=20 "$target..$observed" | sed 's/^/  /' >&2
[ "$count" -le 20 ] || say "  and $((count - 20)) more"
git --no-pager diff --stat=100 --stat-count=20 "$observed" "$target" >&2
if [ "$mode" = revert ]; then
  say "A new commit with the tree of $tag will be pushed on top of $remote/$branch."
else
  say "$remote/$branch will be FORCED back to $tag: those commits leave its history."
fi
if ! $yes; then
  printf 'Type yes to go on: ' >&2
  read -r answer || answer=
  [ "$answer" = yes ] || die "not confirmed, nothing was changed"
fi

SECONDS=0
backup=$("$here/backup-before-pr.sh" "${backup_options[@]}") || die "the backup failed, nothing was changed"

if [ "$mode" = revert ]; then
  new=$(
    printf 'Roll back to %s\n\nThe tree is that of %s. Takes back %s commits, up to %s.\n' \
      "$tag" "$target" "$count" "$observed" | git commit-tree "$target^{tree}" -p "$observed" -F -
  )
else
  new=$target
fi
# The lease names the very commit that was shown, so that nobody's later push is lost in either mode.
git push --quiet --force-with-lease="refs/heads/$branch:$observed" -- "$remote" "$new:refs/heads/$branch" ||
  die "'$remote' did not take it: $branch moved meanwhile or is protected; nothing was changed, backup in $backup"

found=$(at_remote "refs/heads/$branch") || die "pushed, but '$remote' does not answer: look at it"
[ "$found" = "$new" ] || die "pushed, but $remote/$branch is at ${found:0:10} by now, not at ${new:0:10}: look at it"
[ "$(tree "$new")" = "$(tree "$target")" ] || die "the tree is not that of $tag"
git fetch --quiet --no-tags -- "$remote" "+refs/heads/$branch:refs/remotes/$remote/$branch"
say "rollback: $remote/$branch is at ${new:0:10} and equal to $tag, after $SECONDS s; backup in $backup"
say "rollback: your own branches have not moved"
