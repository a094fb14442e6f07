"""The inbox as its users meet it: over HTTP, on a real database, with webhooks as the gateway sends them."""
