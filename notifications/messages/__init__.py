"""Message texts and their templates."""
