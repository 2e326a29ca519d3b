"""HTTP: what clients and operators touch, over Falcon and waitress."""
