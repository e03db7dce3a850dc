"""From the files of a corpus to batches: index, prepare, plan, read. Nothing here imports JAX."""
