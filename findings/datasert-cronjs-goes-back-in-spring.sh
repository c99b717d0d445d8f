#!/bin/sh
# @datasert/cronjs-matcher 1.4.0 (npm), zone Europe/Berlin: the list of future matches goes back in time in spring.
#
# In the night in which clocks jump from 02:00 to 03:00, a schedule of every half hour lists 03:00 and 03:30 CEST, and
# then both once more: the list is neither sorted nor free of doubles, so a runner that takes one after the other starts
# the job twice, or waits for an instant that has passed.
#
# Seen (instants in UTC):
#   2026-03-29T00:30:00Z
#   2026-03-29T01:00:00Z
#   2026-03-29T01:30:00Z
#   2026-03-29T01:00:00Z
#   2026-03-29T01:30:00Z
#   2026-03-29T02:00:00Z
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
npm install --silent --no-fund --no-audit --prefix . @datasert/cronjs-matcher@1.4.0 >/dev/null
cat >look.cjs <<'JS'
const { getFutureMatches } = require("@datasert/cronjs-matcher");
const found = getFutureMatches("*/30 * * * *", {
  startAt: "2026-03-29T00:10:00Z", matchCount: 6, timezone: "Europe/Berlin",
});
console.log(found.join("\n"));
JS
node look.cjs >seen
sed -n 's/^#   //p' "$script" | diff - seen
