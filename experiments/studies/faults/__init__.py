"""What faults cost a training run: `python -m experiments.studies.faults`."""
