"""Text for people, rendered from data."""
