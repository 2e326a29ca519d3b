#!/usr/bin/env bash
# Back up the repository: a bundle of its branches and tags and the settings, never secrets, into a folder of its own in
# BACKUP_DIR. The backup is tried out before it counts: a clone of the bundle must have every branch and tag. Prints the folder at the end.
set -euo pipefail
export LC_ALL=C
umask 077

usage() {
  cat <<'USAGE'
usage: scripts/backup-before-pr.sh [--allow-dirty] [--keep N]

  --allow-dirty  back up although there are uncommitted changes; they are NOT in the bundle (settings.toml and
                 render.yaml are copied as they stand)
  --keep N       backups to keep, the newest ones (default: BACKUP_KEEP, else 10)

BACKUP_DIR says where to (default: ~/.local/state/rom-agent/backups). Secrets are left out: .env, .secrets.toml and
every *.local.toml stay where they are, and so does a settings.toml that a secret was written into. What was never
published is left out too: stashes, notes and other refs than branches and tags.
USAGE
}
say() { printf '%s\n' "$*" >&2; }
die() { say "backup: $*"; exit 1; }
misused() { say "backup: $*"; usage >&2; exit 2; }

allow_dirty=false
keep=${BACKUP_KEEP:-10}
while [ $# -gt 0 ]; do
  case "$1" in
    --allow-dirty) allow_dirty=true ;;
    --keep) [ $# -gt 1 ] || misused "--keep needs a number"; keep=$2; shift ;;
    --keep=*) keep=${1#*=} ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown argument: $1" ;;
  esac
  shift
done
case "$keep" in *[!0-9]* | '' | 0*) misused "the number of backups to keep must be at least 1, not '$keep'" ;; esac

cd "$(git rev-parse --show-toplevel)"
commit=$(git rev-parse --verify --quiet 'HEAD^{commit}') || die "there is no commit to back up yet"
branch=$(git symbolic-ref --quiet --short HEAD || echo '(detached)')
dirty=false
if [ -n "$(git status --porcelain)" ]; then
  dirty=true
  $allow_dirty || die "there are uncommitted changes; commit or stash them, or say --allow-dirty to leave them out"
  say "backup: uncommitted changes are NOT in the bundle; settings.toml and render.yaml are copied as they stand"
fi

backups=${BACKUP_DIR:-$HOME/.local/state/rom-agent/backups}
mkdir -p -- "$backups"
backups=$(cd -- "$backups" && pwd -P)
# Inside a working tree they would be uncommitted changes, and the next run would refuse because of the last one.
if [ ! -e "$backups/.gitignore" ] && [ "$(git -C "$backups" rev-parse --is-inside-work-tree 2>/dev/null)" = true ]; then
  [ ! -e "$backups/.git" ] || die "BACKUP_DIR is a repository, not a folder of its own"
  printf '*\n' >"$backups/.gitignore"
fi
# What a killed run left behind; an hour is longer than any run takes.
find "$backups" -mindepth 1 -maxdepth 1 -name '.partial-*' -mmin +60 -exec rm -rf {} +
partial=$(mktemp -d "$backups/.partial-XXXXXX")
trap 'rm -rf "$partial"' EXIT

# Not --all: a stash is where somebody puts what must not be published, a token among it.
git bundle create --quiet "$partial/repository.bundle" HEAD --branches --remotes --tags
verified=$(git bundle verify --quiet "$partial/repository.bundle" 2>&1) || die "the bundle does not verify: $verified"
git clone --quiet --mirror "$partial/repository.bundle" "$partial/trial" || die "the bundle cannot be cloned"
refs() { git -C "$1" for-each-ref --format='%(objectname) %(refname)' refs/heads refs/remotes refs/tags | sort; }
[ "$(refs .)" = "$(refs "$partial/trial")" ] || die "a clone of the bundle lacks refs"
git -C "$partial/trial" cat-file -e "$commit^{tree}" || die "a clone of the bundle lacks the current commit"
git -C "$partial/trial" fsck --connectivity-only --no-dangling --no-progress >/dev/null ||
  die "a clone of the bundle is not whole"
rm -rf "$partial/trial"

files=(repository.bundle)
secret='^[[:space:]]*"?[A-Za-z_]*(TOKEN|KEYS?|SECRET|PASSWORD|WEBHOOK_URL)"?[[:space:]]*=[[:space:]]*("[^"]|'"'"'[^'"'"']|"""|'"'''"'|[[{])'
for file in settings.toml render.yaml; do
  [ -f "$file" ] || continue
  if [ "$file" = settings.toml ] && grep -Eq "$secret" "$file"; then
    say "backup: settings.toml is left out, a secret seems to stand in it; secrets belong in .secrets.local.toml"
    continue
  fi
  cp "$file" "$partial/$file"
  files+=("$file")
done

quoted() { local text=${1//\\/\\\\}; printf '"%s"' "${text//\"/\\\"}"; }
checksum() { sha256sum "$1" | cut -d " " -f 1; }
created=$(date -u +%Y-%m-%dT%H:%M:%SZ)
{
  printf '{\n  "created": %s,\n  "commit": %s,\n  "branch": %s,\n' \
    "$(quoted "$created")" "$(quoted "$commit")" "$(quoted "$branch")"
  printf '  "uncommitted_changes": %s,\n  "refs": %s,\n  "sha256": {\n' "$dirty" "$(refs . | wc -l | tr -d ' ')"
  separator=
  for file in "${files[@]}"; do
    printf '%s    %s: %s' "$separator" "$(quoted "$file")" "$(quoted "$(checksum "$partial/$file")")"
    separator=$',\n'
  done
  printf '\n  }\n}\n'
} >"$partial/manifest.json"

stamp=$(date -u +%Y%m%dT%H%M%SZ)
name="$stamp-${commit:0:10}"
number=1
# A folder is claimed by making it: two runs in the same second must not write into one.
until mkdir "$backups/$name" 2>/dev/null; do
  number=$((number + 1))
  [ "$number" -le 100 ] || die "$backups cannot be written to"
  name="$stamp-${commit:0:10}-$number"
done
trap 'rm -rf "$partial" "$backups/$name"' EXIT
for file in "${files[@]}"; do mv "$partial/$file" "$backups/$name/$file"; done
# The manifest comes last: a folder without one is no backup, and is never counted as one.
mv "$partial/manifest.json" "$backups/$name/manifest.json"
trap 'rm -rf "$partial"' EXIT

# Newest first: by the time in the name, and within one second by when they were written.
mapfile -t kept < <(
  find "$backups" -mindepth 2 -maxdepth 2 -name manifest.json -path '*/[0-9]*T[0-9]*Z-*/manifest.json' \
    -printf '%P\t%T@\t%h\n' | sort -t $'\t' -k 1.1,1.16r -k 2,2nr | cut -f 3
)
for folder in "${kept[@]:$keep}"; do
  # Whatever the clocks of those who wrote the others say, the one just made stays.
  [ "$folder" = "$backups/$name" ] || rm -rf "$folder"
done
say "backup: $(refs . | wc -l | tr -d ' ') refs of $branch at ${commit:0:10}, tried out"
printf '%s\n' "$backups/$name"
