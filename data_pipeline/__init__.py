"""From the files of a corpus to batches: index, prepare, plan, read. Nothing here imports JAX."""

import os

from data_pipeline.cli.missing import explain_in_commands

# TensorFlow only reads data here; its start-up notes about the processor would bury our own lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

explain_in_commands()
