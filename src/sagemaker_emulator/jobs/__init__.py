"""Training jobs as the service remembers them."""
