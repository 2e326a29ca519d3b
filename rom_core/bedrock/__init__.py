"""The wire to Amazon Bedrock: sending a request, reading a stream, what an error of AWS means."""
