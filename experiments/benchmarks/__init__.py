"""Speed, memory and quality benchmarks; each module prints a table. Never part of the tests."""
