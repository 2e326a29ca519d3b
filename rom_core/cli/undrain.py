"""`rom undrain`; it stands beside `rom drain`."""

from __future__ import annotations

from rom_core.cli.drain import undrain as undrain
