"""What stands between this machine and a real answer of Bedrock, as findings: `rom doctor`."""

from rom_core.ops.doctor.aws import Aws
from rom_core.ops.doctor.examine import examine
from rom_core.ops.doctor.findings import FAIL, OK, WARN, Finding

__all__ = ["FAIL", "OK", "WARN", "Aws", "Finding", "examine"]
