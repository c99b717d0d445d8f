"""Says hello: the smallest useful task."""

import os

print(f"Hello from {os.environ['TASK_NAME']}, planned for {os.environ['SCHEDULED_FOR'] or 'now'}.")
