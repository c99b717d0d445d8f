"""`/metrics`: figures of the installation for Prometheus, read from the database at each scrape.

Nothing is counted in the memory of a process: all web processes give the same answer, and a restart resets nothing.
"""
