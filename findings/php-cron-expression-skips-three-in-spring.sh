#!/bin/sh
# php-dragonmantank-cron-expression 3.3.1-2 (Debian 12), the schedule parser under Laravel, zone Europe/Berlin.
# A job of the first hour after the gap is lost in spring: after the evening before, the next run of "0 3 * * *" is
# 2026-03-30, although 03:00 exists on the 29th, and getPreviousRunDate() does find it there.
#
# Seen (instants in UTC; 03:00 in Berlin on the 29th is 01:00):
#   next 2026-03-30 01:00
#   previous 2026-03-29 01:00
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
chmod 755 . # apt downloads as another user when run by root
apt-get download -qq php-dragonmantank-cron-expression=3.3.1-2 php-webmozart-assert php8.2-cli php8.2-common 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
cat >look.php <<'PHP'
<?php
spl_autoload_register(fn ($name) => require 'root/usr/share/php/' . strtr($name, '\\', '/') . '.php');
$zone = new DateTimeZone('Europe/Berlin');
$show = fn ($date) => $date->setTimezone(new DateTimeZone('UTC'))->format('Y-m-d H:i');
$daily = new Cron\CronExpression('0 3 * * *');
echo 'next ', $show($daily->getNextRunDate(new DateTime('2026-03-29 00:30', $zone), 0, false, 'Europe/Berlin')), "\n";
echo 'previous ', $show($daily->getPreviousRunDate(new DateTime('2026-03-29 12:00', $zone), 0, false, 'Europe/Berlin')), "\n";
PHP
root/usr/bin/php8.2 -n -d error_reporting=0 look.php >seen
sed -n 's/^#   //p' "$script" | diff - seen
