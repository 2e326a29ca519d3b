#!/usr/bin/env bash
# Mark the current commit as a place to come back to: an annotated tag v<version>-checkpoint-<n>, pushed at once.
# A checkpoint never moves: an existing tag, here or at the remote, is refused. Prints the tag at the end.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'USAGE'
usage: scripts/create-checkpoint.sh [-m MESSAGE] [--number N] [--remote NAME]

  -m MESSAGE     why, kept in the tag (default: the subject of the commit)
  --number N     this number, instead of the next one that is free
  --remote NAME  where to push it (default: origin)
USAGE
}
say() { printf '%s\n' "$*" >&2; }
die() { say "checkpoint: $*"; exit 1; }
misused() { say "checkpoint: $*"; usage >&2; exit 2; }

message=
number=
remote=origin
while [ $# -gt 0 ]; do
  case "$1" in
    -m | --message) [ $# -gt 1 ] || misused "$1 needs a text"; message=$2; shift ;;
    --number) [ $# -gt 1 ] || misused "--number needs a number"; number=$2; shift ;;
    --remote) [ $# -gt 1 ] || misused "--remote needs a name"; remote=$2; shift ;;
    --number=*) number=${1#*=} ;;
    --remote=*) remote=${1#*=} ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown argument: $1" ;;
  esac
  shift
done
case "$number" in *[!0-9]* | 0*) misused "a checkpoint's number is 1 or more, not '$number'" ;; esac

cd "$(git rev-parse --show-toplevel)"
# Git takes what begins with a dash as an option, and some of its options run programs.
case "$remote" in -* | *[!A-Za-z0-9._/-]*) misused "--remote is the name of a remote, not '$remote'" ;; esac
git remote get-url -- "$remote" >/dev/null 2>&1 || die "there is no remote '$remote'"
[ -z "$(git status --porcelain)" ] || die "there are uncommitted changes; a checkpoint holds what is committed"
version=$(git show HEAD:rom_core/__init__.py | sed -n 's/^__version__ = "\([^"]*\)".*/\1/p')
[ -n "$version" ] || die "rom_core/__init__.py does not say which version this is"
: "${message:=$(git log -1 --format=%s)}"

# The numbers taken, here and at the remote.
taken() {
  local listed
  listed=$(git ls-remote --tags -- "$remote" "refs/tags/v$version-checkpoint-*") || return 1
  { printf '%s\n' "$listed"; git tag --list "v$version-checkpoint-*"; } |
    sed -n "s/.*v${version//./\\.}-checkpoint-\([0-9][0-9]*\)\$/\1/p" | sort -n | uniq
}

requested=$number
for attempt in 1 2 3; do
  numbers=$(taken) || die "the remote '$remote' does not answer"
  if [ -n "$requested" ]; then
    if grep -qx "$requested" <<<"$numbers"; then
      die "v$version-checkpoint-$requested exists; a checkpoint never moves"
    fi
  else
    # In base 10, whatever zeros somebody put in front.
    number=$((10#$(tail -n 1 <<<"${numbers:-0}") + 1))
  fi
  tag="v$version-checkpoint-$number"
  git tag --annotate --message="$message" -- "$tag"
  # Never with force: if somebody else was quicker the remote refuses, and the next number is tried.
  if git push --quiet -- "$remote" "refs/tags/$tag"; then
    found=$(git ls-remote --tags -- "$remote" "refs/tags/$tag" | cut -f 1)
    [ "$found" = "$(git rev-parse "refs/tags/$tag")" ] || die "'$remote' has another $tag than the one just pushed"
    say "checkpoint: $tag is at $(git rev-parse --short=10 HEAD), here and at '$remote'"
    printf '%s\n' "$tag"
    exit 0
  fi
  git tag --delete -- "$tag" >/dev/null
  [ -z "$requested" ] && [ "$attempt" -lt 3 ] || die "'$remote' did not take $tag; nothing was changed"
  say "checkpoint: trying once more"
done
