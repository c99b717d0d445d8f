"""Channel kinds: each is a self-contained package, listed in `registry`."""
