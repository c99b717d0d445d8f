#!/bin/sh
# cron-parser 5.10.6 (npm), zone Europe/Berlin: prev() does not give the dates back that next() gave.
#
# "30 2 * * *" in the night without 02:30 (2026-03-29): next() moves the run to 03:30 CEST, prev() knows no run on that
# day. In the night with two (2026-10-25): next() gives one, prev() gives both. Whoever looks back with prev() for the
# slot that should have run (after an outage, say) misses one in spring and invents one in autumn.
#
# Seen (instants in UTC):
#   spring next 2026-03-29T01:30Z 2026-03-30T00:30Z
#   spring prev 2026-03-28T01:30Z 2026-03-27T01:30Z
#   autumn next 2026-10-25T00:30Z 2026-10-26T01:30Z
#   autumn prev 2026-10-25T01:30Z 2026-10-25T00:30Z
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
npm install --silent --no-fund --no-audit --prefix . cron-parser@5.10.6 >/dev/null
cat >look.mjs <<'JS'
import { CronExpressionParser } from "cron-parser";
const look = (direction, from) => {
  const dates = CronExpressionParser.parse("30 2 * * *", { currentDate: new Date(from), tz: "Europe/Berlin" });
  return [1, 2].map(() => dates[direction]().toISOString().slice(0, 16) + "Z").join(" ");
};
console.log("spring next", look("next", "2026-03-28T12:00:00Z"));
console.log("spring prev", look("prev", "2026-03-29T12:00:00Z"));
console.log("autumn next", look("next", "2026-10-24T12:00:00Z"));
console.log("autumn prev", look("prev", "2026-10-25T12:00:00Z"));
JS
node look.mjs >seen
sed -n 's/^#   //p' "$script" | diff - seen
