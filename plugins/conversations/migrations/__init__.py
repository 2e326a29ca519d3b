"""The migrations of the tables of conversations."""
