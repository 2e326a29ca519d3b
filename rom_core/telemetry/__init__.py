"""What is known of the process and its turns: ids, traces, log, accounts, memory, capacity."""
