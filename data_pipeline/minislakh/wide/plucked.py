"""A model of plucked strings: a delay line as long as a period that loses energy each time round.

That is the string of Karplus and Strong (1983) with the extensions of Jaffe and Smith (1983): a
place where it is plucked, one where it is picked up, losses that grow with frequency, and
stiffness. The loop is linear and stays as it is during a note, so its response is computed in
closed form on the frequencies of one Fourier transform, E / (1 - G exp(-i theta)): exactly in tune
and without a loop.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import fft

from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice

NAME = "plucked string"
RING_SECONDS = 2.0  # the longest a note sounds
FADE_SECONDS = 0.05  # at its end, which would else be a click


@dataclass(frozen=True)
class PluckedString:
    """The strings of one instrument.

    Args:
        seconds: in which the A of 110 Hz decays by 60 dB.
        bright: Hz above which the pluck is weaker.
        losses: Hz at which partials decay twice as fast as the lowest.
        plucked: where, as a part of the string's length.
        pickup: where it is picked up, likewise; 0 is the bridge, which takes all.
        stiffness: partial k sounds at k sqrt(1 + stiffness k^2) times the pitch.
        release: seconds in which an ended note decays by 60 dB.
        click: level of the noise of the plectrum.
        cents: above the usual tuning.
        seed: of that noise.
    """

    seconds: float | int
    bright: float | int
    losses: float | int
    plucked: float | int
    pickup: float | int
    stiffness: float | int
    release: float | int
    click: float | int
    cents: float | int
    seed: int

    @classmethod
    def draw(cls, dice: Dice, cents: float | int) -> "PluckedString":
        """From nylon to steel, from acoustic to electric."""
        return cls(
            seconds=dice.log_between(1.5, 5.0),
            bright=dice.log_between(700, 5000),
            losses=dice.log_between(1500, 7000),
            plucked=dice.between(0.06, 0.4),
            pickup=dice.pick((0.0, dice.between(0.05, 0.3))),
            stiffness=dice.log_between(1e-6, 1.5e-4),
            release=dice.log_between(0.04, 0.3),
            click=dice.log_between(0.005, 0.08),
            cents=cents,
            seed=dice.integer(0, 2**31 - 1),
        )

    def play(self, part: Part, num_samples: int, rate: int) -> Float[np.ndarray, " n"]:
        """The notes of a part, cut at `num_samples`."""
        sound = np.zeros(num_samples, np.float32)
        tone = lru_cache(None)(lambda pitch: self._tone(pitch, rate))
        noise = Dice(self.seed, "plectrum").generator.random(len(part.notes) * 80) - 0.5
        fade = np.exp(-6.9 / self.release * np.arange(round(self.release * rate)) / rate)
        decay = np.exp(-np.arange(80) / 20)
        starts = np.rint(part.notes.onsets * rate).astype(int)
        lengths = np.rint((part.notes.offsets - part.notes.onsets) * rate).astype(int)
        for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            note = tone(int(part.notes.pitches[index]))[: length + len(fade)].copy()
            note[length:] *= fade[: max(len(note) - length, 0)]
            click = noise[80 * index : 80 * index + 80] * decay * self.click
            note[:80] += click[: len(note)]
            room = sound[start : start + len(note)]
            room += note[: len(room)] * np.float32((part.notes.velocities[index] / 127) ** 1.5)
        return sound

    def _tone(self, pitch: int, rate: int) -> Float[np.ndarray, " m"]:
        """One note that is not stopped."""
        size = fft.next_fast_len(round(RING_SECONDS * rate), real=True)
        hertz = fft.rfftfreq(size, 1 / rate)
        lowest = 440 * 2 ** ((pitch - 69 + self.cents / 100) / 12)
        partial = hertz / lowest
        if self.stiffness * partial[-1] ** 2 > 1e-3:
            square = np.sqrt(1 + 4 * self.stiffness * partial**2) - 1
            partial = np.sqrt(square / (2 * self.stiffness))
        seconds = self.seconds * (110 / lowest) ** 0.5
        rates = 6.9 / seconds * (1 + (hertz / self.losses) ** 2)
        loop = np.exp(-rates / lowest - 2j * np.pi * partial)
        pluck = (1 - np.exp(-2j * np.pi * partial * self.plucked)) / (1 + 1j * hertz / self.bright)
        if self.pickup:
            pluck = pluck * (1 - np.exp(-2j * np.pi * partial * self.pickup))
        tone = fft.irfft((pluck / (1 - loop)).astype(np.complex64), size)
        fade = round(FADE_SECONDS * rate)
        tone[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        return tone / max(float(np.abs(tone).max()), 1e-9)
