"""The trunks a network may have, by name: to add one, write a file and a line here."""

from cerberus_jax.trunks.band_split import BandSplit
from cerberus_jax.trunks.base import Trunk
from cerberus_jax.trunks.blstm import BLSTM
from cerberus_jax.trunks.harmonic import Harmonic

TRUNKS: dict[str, type[Trunk]] = {"blstm": BLSTM, "harmonic": Harmonic, "band_split": BandSplit}
