# Put the names of the customers in order.
set -eu
folder="../nightly_extract/work/$RUN_ID"
sort -t ';' -k 2 "$folder/customers.txt" > "$folder/sorted.txt"
echo "$(wc -l < "$folder/sorted.txt") customers sorted"
