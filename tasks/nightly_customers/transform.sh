# Put the names of the customers in order.
set -eu
folder="${TMPDIR:-/tmp}/schedsite-nightly-$RUN_ID"
sort -t ';' -k 2 "$folder/customers.txt" > "$folder/sorted.txt"
echo "$(wc -l < "$folder/sorted.txt") customers sorted"
