"""Use cases: all writes of this app."""
