"""Coverage-guided fuzzing of every reader of bytes from outside; README.md says how to run it."""
