"""Training, evaluation and separation from the command line; the one package that knows all."""
