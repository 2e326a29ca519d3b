"""Settings that change while the process runs: overrides over the layers, their history, rollback, and a canary.

`proposals` says what a change makes of the overrides, `control` lets one after the other through, `apply` puts it in
force, `preview` says what it would come to, `approval` what takes a second person, `canary` is other values for a share
of the traffic.
"""

from rom_core.flags.apply import Applied
from rom_core.flags.canary import Canary, CanaryBlock
from rom_core.flags.control import Flags
from rom_core.flags.preview import Preview
from rom_core.flags.proposals import Author
from rom_core.plugin.catalogue import Layers

__all__ = ["Applied", "Author", "Canary", "CanaryBlock", "Flags", "Layers", "Preview"]
