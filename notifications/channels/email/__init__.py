"""Email to the recipients of a rule, through the mail server of the settings."""
