"""The operations of the service: requests checked, carried out and answered."""
