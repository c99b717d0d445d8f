"""Decisions about messages, pure: no database, no clock, no network."""
