"""A kind of channel that stands outside Schedsite: one package holds all there is of it."""
