"""The core's routes."""
