"""Tests of what a GPU computes."""
