"""The instances that share a store: who is there, what each has in force, which one leads.

`SingleInstance` is the fleet of a process that shares its store with nobody, `Member` a process's part in a larger one.
"""

from rom_core.fleet.instances import Fleet, InForceAt, Instance, SingleInstance, instance_id, instance_name

__all__ = ["Fleet", "InForceAt", "Instance", "SingleInstance", "instance_id", "instance_name"]
