"""A long run with steady output; open its log while it runs."""

import time

STEPS = 60

for step in range(1, STEPS + 1):
    print(f"archived {step} of {STEPS}", flush=True)
    time.sleep(1)
