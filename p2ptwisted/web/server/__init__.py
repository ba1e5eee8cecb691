"""The bounded HTTP server: connections, requests and their limits. It knows no route."""
