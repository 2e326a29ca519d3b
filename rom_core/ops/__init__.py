"""What the commands do: doctor, release, deploy, scaffold, reference."""
