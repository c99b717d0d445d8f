"""The server of the site: it reads requests with deadlines before a thread is taken, and limits connections."""
