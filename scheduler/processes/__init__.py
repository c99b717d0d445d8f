"""Long-running processes: dispatcher, worker, cluster."""
