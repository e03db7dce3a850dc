"""Training, evaluation and separation from the command line; the one package that knows all."""

from data_pipeline.cli.missing import explain_in_commands

explain_in_commands()
