"""What the server tells the app with a request: keys of its WSGI environment, where another server sets none."""

HANG_UP = "rom.hang_up"
"""A function that closes the request's connection, to be called from any thread."""
ADMITTED = "rom.admitted"
"""A function to be called once the request has its place, so that the next one may ask for one."""
REFUSAL = "rom.refusal"
"""The RomError with which to answer a request that was refused before its body had come."""
