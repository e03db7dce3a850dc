"""The bidirectional LSTM layer: products around a recurrence that has several paths."""

from cerberus_jax.lstm.layer import bidirectional_lstm
from cerberus_jax.lstm.paths import PATHS

__all__ = ["PATHS", "bidirectional_lstm"]
