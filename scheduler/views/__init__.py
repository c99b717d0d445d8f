"""Views of the site in addition to the admin's own: each reads through selectors and renders."""
