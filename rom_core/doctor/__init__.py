"""What stands between this machine and a real answer of Bedrock, as findings: `rom doctor`."""

from rom_core.doctor.aws import Aws
from rom_core.doctor.examine import examine
from rom_core.doctor.findings import FAIL, OK, WARN, Finding

__all__ = ["FAIL", "OK", "WARN", "Aws", "Finding", "examine"]
