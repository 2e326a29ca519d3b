"""Measurements, as ratios against plain handlers in the same run. `make bench` runs them all."""
