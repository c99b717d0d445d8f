#!/bin/sh
# php-dragonmantank-cron-expression 3.3.1-2 (Debian 12), the schedule parser under Laravel.
# A weekday range written with names loses its Sunday: "fri-sun" is Friday and Saturday, while "5-7", the same in numbers,
# is Friday to Sunday. Neither is refused.
#
# Seen (days of March 2026 from the 1st; the 8th and 15th are Sundays):
#   fri-sun: 06 07 13 14 20
#   5-7: 06 07 08 13 14
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
chmod 755 . # apt downloads as another user when run by root
apt-get download -qq php-dragonmantank-cron-expression=3.3.1-2 php-webmozart-assert php8.2-cli php8.2-common 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
cat >look.php <<'PHP'
<?php
spl_autoload_register(fn ($name) => require 'root/usr/share/php/' . strtr($name, '\\', '/') . '.php');
foreach (['fri-sun', '5-7'] as $days) {
    $found = (new Cron\CronExpression("0 0 * * $days"))->getMultipleRunDates(5, '2026-03-01 00:00:30', false, false, 'UTC');
    echo "$days: ", implode(' ', array_map(fn ($date) => $date->format('d'), $found)), "\n";
}
PHP
root/usr/bin/php8.2 -n -d error_reporting=0 look.php >seen
sed -n 's/^#   //p' "$script" | diff - seen
