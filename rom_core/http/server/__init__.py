"""Serving with waitress: listener, socket loop, threads, shutdown."""
