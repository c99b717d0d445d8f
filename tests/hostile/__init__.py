"""Requests that no browser and no honest client sends, made the same from the same seed."""
