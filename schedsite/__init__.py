"""Configuration and wiring of the site; no logic."""

__version__ = "0.1.0"
