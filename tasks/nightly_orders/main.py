"""Sum the orders of each customer."""

import json
import os
from collections import Counter
from pathlib import Path

folder = Path(__file__).resolve().parent.parent / "nightly_extract" / "work" / os.environ["RUN_ID"]
sums = Counter()
for order in json.loads((folder / "orders.json").read_text(encoding="utf-8")):
    sums[order["customer"]] += order["amount"]
(folder / "sums.json").write_text(json.dumps(sums), encoding="utf-8")
print(f"orders of {len(sums)} customers summed")
