"""Network transport of messages."""
