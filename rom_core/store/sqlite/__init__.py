"""The store in one SQLite file: for one machine, with a good copy beside it."""
