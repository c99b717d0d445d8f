"""A script that works, but whose goal is not met: it ends with exit code 1 (business failure)."""

import sys

STOCK = {"tea": 12, "coffee": 3}
MINIMUM = 5

short = {name: count for name, count in STOCK.items() if count < MINIMUM}
for name, count in short.items():
    print(f"库存不足: {name} {count} < {MINIMUM}")
sys.exit(1 if short else 0)
