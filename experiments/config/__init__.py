"""Configs: loading, rules, overrides on the command line."""
