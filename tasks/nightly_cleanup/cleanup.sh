# Take away what the run left, however it went.
folder="../nightly_extract/work/$RUN_ID"
rm -rf "$folder"
echo "$folder removed"
