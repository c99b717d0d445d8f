# Take away what the run left, however it went.
folder="${TMPDIR:-/tmp}/schedsite-nightly-$RUN_ID"
rm -rf "$folder"
echo "$folder removed"
