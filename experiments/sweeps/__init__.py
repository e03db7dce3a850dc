"""Sweeps: which points they have, which of those train together, and what comes out."""
