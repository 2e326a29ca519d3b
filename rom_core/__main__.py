"""`python -m rom_core` is the command `rom`."""

from rom_core.cli import main

main(prog_name="rom")
