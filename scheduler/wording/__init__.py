"""Text for people, made of data."""
