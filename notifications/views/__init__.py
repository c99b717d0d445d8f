"""Pages of rules and deliveries, and their parts of the scheduler's pages."""
