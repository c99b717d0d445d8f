"""The shapes of rules and deliveries in the API, each written once."""
