"""Pages of the site beyond those that the admin brings: each reads by selectors and renders."""
