"""Time, cancellation, threads and places, all of them bounded."""
