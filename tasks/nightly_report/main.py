"""Print the best customers of the day."""

import json
import os
from pathlib import Path

folder = Path(__file__).resolve().parent.parent / "nightly_extract" / "work" / os.environ["RUN_ID"]
sums = json.loads((folder / "sums.json").read_text(encoding="utf-8"))
names = dict(line.split(";") for line in (folder / "sorted.txt").read_text(encoding="utf-8").splitlines())
for customer, amount in sorted(sums.items(), key=lambda item: -item[1])[:5]:
    print(f"{names[customer]}: {amount}")
