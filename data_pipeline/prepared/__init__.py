"""From a corpus to a prepared directory, and its tables."""
