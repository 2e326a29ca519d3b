"""The migrations of the tables of runs."""
