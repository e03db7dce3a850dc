"""The bidirectional LSTM layer: products around a recurrence that has several backends."""

from cerberus_jax.lstm.backends import BACKENDS, EXPERIMENTAL
from cerberus_jax.lstm.layer import bidirectional_lstm

__all__ = ["BACKENDS", "EXPERIMENTAL", "bidirectional_lstm"]
