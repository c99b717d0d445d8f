"""Configuration and wiring of the site; no logic."""
