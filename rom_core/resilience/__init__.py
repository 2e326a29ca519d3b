"""What a failure of a model means, and what is kept for the models that may take over."""
