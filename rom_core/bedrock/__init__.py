"""Amazon Bedrock: the wire to it, and the bundled local one."""
