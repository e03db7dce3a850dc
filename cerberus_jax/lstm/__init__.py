"""The bidirectional LSTM layer: products around a recurrence that has several backends."""

from cerberus_jax.lstm.backends import BACKENDS
from cerberus_jax.lstm.layer import bidirectional_lstm

__all__ = ["BACKENDS", "bidirectional_lstm"]
