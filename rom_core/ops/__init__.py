"""What the commands do: doctor, release check, deploys, load test, blind test, scaffold, generated pages."""
