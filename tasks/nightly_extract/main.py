"""Write what the pipeline works on into a folder of this run."""

import json
import os
import random
from pathlib import Path

folder = Path(__file__).resolve().parent.parent / "nightly_extract" / "work" / os.environ["RUN_ID"]
folder.mkdir(parents=True, exist_ok=True)
orders = [{"customer": random.randint(1, 20), "amount": random.randint(5, 500)} for _ in range(1000)]
(folder / "orders.json").write_text(json.dumps(orders), encoding="utf-8")
(folder / "customers.txt").write_text("".join(f"{n};Customer {n}\n" for n in range(1, 21)), encoding="utf-8")
print(f"{len(orders)} orders of 20 customers written to {folder}")
