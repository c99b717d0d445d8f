"""Protections taken away one at a time, each of which some test must notice: `make seeded-bugs`."""
