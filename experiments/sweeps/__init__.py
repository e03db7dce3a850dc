"""Sweeps: lists of named config overrides that are run one after another."""
