"""How a process runs: caches, signals, memory, several processes."""
