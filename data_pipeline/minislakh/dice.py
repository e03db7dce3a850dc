"""Repeatable random choices for the composer.

Everything is made from single uniform draws of a Philox generator, keyed by the words it is given:
the songs stay the same whatever numpy does to its distributions in later versions.
"""

import hashlib
import math

import numpy as np


def song_seed(seed: int, split: str, index: int) -> int:
    """The 64-bit seed of song `index` of a split; splits share no song."""
    words = f"minislakh/{seed}/{split}/{index}".encode()
    return int.from_bytes(hashlib.sha256(words).digest()[:8], "little")


class Dice:
    """A stream of random choices.

    Args:
        seed: any integer, reduced to 64 bits.
        stream: streams of the same seed with different names are independent.
    """

    def __init__(self, seed: int, stream: str = ""):
        name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
        key = np.array([seed % 2**64, name], np.uint64)
        self.generator = np.random.Generator(np.random.Philox(key=key))
        self.uniform = self.generator.random

    def chance(self, probability: float | int) -> bool:
        """True with this probability."""
        return self.uniform() < probability

    def between(self, low: float | int, high: float | int) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.uniform()

    def log_between(self, low: float | int, high: float | int) -> float:
        """Log-uniform in [low, high)."""
        return low * (high / low) ** self.uniform()

    def integer(self, low: int, high: int) -> int:
        """Uniform among low .. high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def pick(self, items, weights=None):
        """One of the items, by weight where weights are given."""
        items = tuple(items)
        if weights is None:
            return items[int(self.uniform() * len(items))]
        target = self.uniform() * math.fsum(weights)
        for item, weight in zip(items, weights, strict=True):
            target -= weight
            if target < 0:
                return item
        return items[-1]

    def shuffled(self, items) -> list:
        """The items in random order."""
        return [item for _, _, item in sorted((self.uniform(), i, x) for i, x in enumerate(items))]
