"""Migrations of the files' table, oldest first; each only adds."""
