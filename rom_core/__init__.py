"""ROM Agent: a production runtime for agents on Amazon Bedrock, built of plugins."""

__version__ = "0.1.0"
