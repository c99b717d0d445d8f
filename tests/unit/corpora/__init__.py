"""Tables of bad input."""
