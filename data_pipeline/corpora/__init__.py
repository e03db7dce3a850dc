"""The corpora: a file for each, their registry, splits and download."""
