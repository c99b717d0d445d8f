#!/bin/sh
# ruby-fugit 1.5.2-1 (Debian 12), the parser of schedules in words under rufus-scheduler and sidekiq-cron.
# "every day at 12am" (midnight) becomes a schedule for noon, as "12pm" does; "midnight" itself is right.
#
# Seen (the cron line that it makes):
#   every day at 11am: 0 11 * * *
#   every day at 12am: 0 12 * * *
#   every day at 12pm: 0 12 * * *
#   every day at midnight: 0 0 * * *
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
chmod 755 . # apt downloads as another user when run by root
apt-get download -qq ruby-fugit=1.5.2-1 ruby-et-orbi ruby-raabro ruby-tzinfo ruby-concurrent ruby3.1 libruby3.1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(find root/usr -name fugit.rb -o -name et-orbi.rb -o -name raabro.rb -o -name tzinfo.rb -o -name concurrent.rb \
    -o -name rbconfig.rb -o -name set.rb | while read -r file; do dirname "$PWD/$file"; done | sort -u | paste -sd:)
cat >look.rb <<'RB'
require "fugit"
["11am", "12am", "12pm", "midnight"].each do |time|
  words = "every day at #{time}"
  puts "#{words}: #{Fugit.parse(words).to_cron_s}"
end
RB
RUBYLIB=$libraries LD_LIBRARY_PATH=$(dirname "$(find "$PWD/root" -name 'libruby*.so.3.1' | head -n 1)") \
    root/usr/bin/ruby3.1 --disable-gems look.rb >seen
sed -n 's/^#   //p' "$script" | diff - seen
