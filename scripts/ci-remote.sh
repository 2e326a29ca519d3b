#!/usr/bin/env bash
# Smoke test of a running server: is it alive, ready, measured, and does it answer a chat? Changes nothing there.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'USAGE'
usage: scripts/ci-remote.sh [BASE_URL]

BASE_URL may also come from the environment, as may
  ROM_API_KEY     for one chat; without it the chat is left out (a server that needs no key: ROM_API_KEY=none)
  METRICS_TOKEN   if GET /metrics asks for one
  TIME_LIMIT      seconds for each request but the chat (default: 10)
  CHAT_TIME_LIMIT seconds for the chat (default: 60)
  TRIES           tries for the first answer, 5 s apart, while a deploy settles (default: 1)

Exit codes: 0 all is well, 1 something is not, 2 asked for wrongly.
USAGE
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  -*) usage >&2; exit 2 ;;
esac
base=${1:-${BASE_URL:-}}
base=${base%/}
case "$base" in
  http://?* | https://?*) ;;
  *) echo "smoke test: which server? Give its BASE_URL, with http:// or https://" >&2; usage >&2; exit 2 ;;
esac
time_limit=${TIME_LIMIT:-10}
chat_time_limit=${CHAT_TIME_LIMIT:-60}
tries=${TRIES:-1}
for limit in "$time_limit" "$chat_time_limit" "$tries"; do
  case "$limit" in
    *[!0-9]* | '' | 0*) echo "smoke test: limits and tries are whole numbers of at least 1, not '$limit'" >&2; exit 2 ;;
  esac
done
# The tokens are for this server alone: ~/.curlrc and ~/.netrc are not read, no redirect is followed, and what goes over
# plain http or to this machine itself goes through no proxy.
direct=()
case "$base" in
  http://* | https://localhost | https://localhost[:/]* | https://127.* | https://\[::1\]*) direct=(--noproxy '*') ;;
esac
command -v curl >/dev/null || { echo "smoke test: curl is missing" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
body=$folder/body
failures=0

report() { printf '%-7s %-8s %s\n' "$1" "$2" "$3"; [ "$1" != FAILED ] || failures=$((failures + 1)); }

# Headers come from a file: arguments can be read by everyone on this machine.
# request NAME LIMIT PATH [curl arguments]: sets $status, $took and the file $body. Takes the headers of with_token.
request() {
  local limit=$2 path=$3 answer
  shift 3
  : >"$body"
  answer=$(curl --disable --globoff --silent --show-error --output "$body" --write-out '%{http_code} %{time_total}' \
    --max-time "$limit" --connect-timeout 5 "${direct[@]}" --header @"$folder/headers" "$@" "$base$path" 2>"$folder/error") || true
  status=${answer%% *}
  took=${answer#* }
  : >"$folder/headers"
}
with_token() { [ -z "$1" ] || printf 'Authorization: Bearer %s\n' "$1" >"$folder/headers"; }
: >"$folder/headers"

# A problem of the server's says why, and by which id its log can be searched.
why() {
  if [ "$status" = 000 ] || [ -z "$status" ]; then
    echo "no answer: $(head -n 1 "$folder/error")"
    return
  fi
  local text
  text=$(tr -d '\n' <"$body" | sed -n 's/.*"code": *"\([a-z_]*\)".*/\1/p')
  printf 'HTTP %s%s%s' "$status" "${text:+, $text}" \
    "$(tr -d '\n' <"$body" | sed -n 's/.*"trace_id": *"\([0-9a-f]*\)".*/, trace \1/p')"
}

for try in $(seq "$tries"); do
  request health "$time_limit" /health
  if [ "$status" = 200 ] || [ "$try" = "$tries" ]; then break; fi
  sleep 5
done
if [ "$status" = 200 ] && grep -q '"status": *"ok"' "$body"; then
  report ok health "$took s, version $(sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$body")"
else
  report FAILED health "$(why)"
fi

request ready "$time_limit" /ready
if [ "$status" = 200 ] && grep -q '"status": *"ready"' "$body"; then
  report ok ready "$took s, environment $(sed -n 's/.*"environment": *"\([^"]*\)".*/\1/p' "$body")"
else
  report FAILED ready "$(why)"
fi

with_token "${METRICS_TOKEN:-}"
request metrics "$time_limit" /metrics
missing=
for name in rom_requests_total rom_requests_duration_seconds_bucket rom_bedrock_tokens_total rom_active_requests; do
  grep -q "^${name}[ {]" "$body" || missing+=" $name"
done
if [ "$status" != 200 ]; then
  report FAILED metrics "$(why)"
elif [ -n "$missing" ]; then
  report FAILED metrics "missing:$missing"
else
  report ok metrics "$took s, the four names are there"
fi

if [ -z "${ROM_API_KEY:-}" ]; then
  report skipped chat "no ROM_API_KEY"
else
  [ "$ROM_API_KEY" = none ] || with_token "$ROM_API_KEY"
  request chat "$chat_time_limit" /api/chat --header 'Content-Type: application/json' \
    --data '{"message": "Responda apenas: ok", "max_tokens": 20}'
  if [ "$status" = 200 ] && grep -q '"reply": *"[^"]' "$body"; then
    report ok chat "$took s, model $(sed -n 's/.*"model": *"\([^"]*\)".*/\1/p' "$body")"
  else
    report FAILED chat "$(why)"
  fi
fi

if [ "$failures" -gt 0 ]; then
  echo "$failures of the checks failed at $base"
  exit 1
fi
echo "all is well at $base"
