"""Scores of networks and of other tools' files, and their tables."""
