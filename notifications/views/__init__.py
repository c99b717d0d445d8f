"""Pages of rules and deliveries, and their parts on the pages of the scheduler."""
