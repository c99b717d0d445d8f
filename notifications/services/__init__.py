"""Use cases: every write of this app."""
