"""The loops of a turn: tool loop, attempts of a model call, tool runs."""
