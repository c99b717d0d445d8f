"""The shapes of the API, each written once: answers are rendered from them, bodies read, and OpenAPI made of them."""
