"""Plugins: what is installed, what is switched on, what they answer."""
