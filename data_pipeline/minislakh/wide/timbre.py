"""Draws a chain of effects for a stem: envelope, vibrato, drive, compression, chorus, tremolo,
equalisation and resonances, reverberation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.wide import effects
from data_pipeline.minislakh.wide.palettes import Palette
from data_pipeline.minislakh.wide.reverberation import LONGEST_SECONDS, reverberation

Step = Callable[[effects.Sound, Notes], effects.Sound]
DRY = 0.08  # share of stems that stay as the synthesizer gives them
EQUALISER_SECONDS = 0.25


@dataclass(frozen=True)
class Likely:
    """How likely each effect is for an instrument, and how its equaliser may be set.

    Args:
        envelope, vibrato, drive, compression, chorus, tremolo, reverb: probabilities.
        hertz: range of the centres of resonances.
        low_cut: range of the frequency below which a high-pass filter cuts.
    """

    envelope: float | int = 0.3
    vibrato: float | int = 0.0
    drive: float | int = 0.1
    compression: float | int = 0.35
    chorus: float | int = 0.15
    tremolo: float | int = 0.05
    reverb: float | int = 0.75
    hertz: tuple[float | int, float | int] = (150, 6500)
    low_cut: tuple[float | int, float | int] = (30, 180)


LIKELY = {
    "piano": Likely(tremolo=0.08),
    "guitar": Likely(0.35, 0.12, 0.45, 0.4, 0.2, 0.06),
    "bass": Likely(0.3, 0.08, 0.25, 0.5, 0.12, 0.0, 0.35, (60, 3000), (20, 45)),
    "drums": Likely(0.3, 0.0, 0.15, 0.5, 0.0, 0.0, 0.7, (60, 6500), (20, 45)),
    "strings": Likely(0.3, 0.3, 0.06, 0.25, 0.25, 0.05, 0.85),
}
OTHERS = Likely(0.2, 0.1, 0.1, 0.3, 0.2, 0.1)


@dataclass(frozen=True)
class Timbre:
    """Effects in the order in which they are applied, and what metadata.yaml says of them."""

    steps: tuple[tuple[str, Step], ...]

    def __call__(self, sound: effects.Sound, notes: Notes) -> effects.Sound:
        """The changed sound."""
        for _, step in self.steps:
            sound = step(sound, notes)
        return sound.astype(np.float32)

    @property
    def description(self) -> str:
        """Such as `drive tube 18 dB; equaliser; room -12 dB`."""
        return "; ".join(name for name, _ in self.steps)


def draw_timbre(instrument: str, palette: Palette, dice: Dice, rate: int) -> Timbre:
    """A chain for a stem of this instrument; equal dice give equal chains."""
    likely = LIKELY.get(instrument, OTHERS)
    if dice.chance(DRY):
        return Timbre(())
    steps = []
    if dice.chance(likely.envelope):
        steps.append(_envelope(dice, rate))
    if dice.chance(likely.vibrato):
        steps.append(_vibrato(dice, rate))
    if dice.chance(likely.drive):
        steps += _drive(dice, palette, instrument, rate)
    if dice.chance(likely.compression):
        steps.append(_compression(dice, rate))
    if dice.chance(likely.chorus):
        steps.append(_chorus(dice, rate))
    if dice.chance(likely.tremolo):
        steps.append(_tremolo(dice, rate))
    steps.append(_room(dice, palette, likely, rate))
    return Timbre(tuple(steps))


def _envelope(dice: Dice, rate: int) -> tuple[str, Step]:
    """Notes that die away sooner, or begin harder or softer."""
    kind = dice.pick(("decay", "punch", "soft"), (2, 1, 1))
    if kind == "decay":
        constant, rest = dice.log_between(0.08, 0.6), dice.between(0.1, 0.5)
        curve = partial(_towards, start=1.0, end=rest, constant=constant)
    elif kind == "punch":
        constant = dice.log_between(0.01, 0.05)
        curve = partial(_towards, start=dice.between(1.5, 3.0), end=1.0, constant=constant)
    else:
        constant = dice.between(0.003, 0.008)
        curve = partial(_towards, start=dice.between(0.3, 0.7), end=1.0, constant=constant)
    return f"{kind} {1000 * constant:.0f} ms", lambda sound, notes: effects.shaped(
        sound, notes.onsets, curve, rate
    )


def _towards(
    seconds: np.ndarray, *, start: float | int, end: float | int, constant: float | int
) -> np.ndarray:
    return end + (start - end) * np.exp(-seconds / constant)


def _vibrato(dice: Dice, rate: int) -> tuple[str, Step]:
    hertz, cents, phase = dice.between(4.5, 7), dice.between(5, 30), dice.uniform()
    return f"vibrato {cents:.0f} cents", lambda sound, _: effects.vibrato(
        sound, hertz=hertz, cents=cents, phase=phase, rate=rate
    )


def _drive(dice: Dice, palette: Palette, instrument: str, rate: int) -> list[tuple[str, Step]]:
    """An amplifier: bass cut before the curve, a loudspeaker behind it."""
    kind = dice.pick(palette.drives)
    gain_db = dice.between(0, 12) if instrument == "drums" else dice.between(3, 30)
    mix = dice.pick((1.0, 1.0, dice.between(0.3, 0.9)))
    low = dice.between(20, 60) if instrument in ("bass", "drums") else dice.log_between(60, 400)
    before = effects.equaliser(effects.band(low, rate, 1, rate), round(0.05 * rate))
    top = dice.between(2500, 6500)
    speaker = np.concatenate(
        [
            effects.peak(dice.between(1200, 3500), dice.between(0, 6), 1.0, rate),
            effects.band(0, top, dice.pick((1, 2)), rate),
        ]
    )
    after = effects.equaliser(speaker, round(0.02 * rate))

    def step(sound, _):
        hot = effects.driven(effects.convolved(sound, before), kind, gain_db, mix)
        return effects.convolved(hot, after)

    return [(f"drive {kind} {gain_db:.0f} dB", step)]


def _compression(dice: Dice, rate: int) -> tuple[str, Step]:
    settings = {
        "threshold_db": dice.between(-24, -4),
        "ratio": dice.log_between(1.5, 8),
        "attack": dice.log_between(0.003, 0.03),
        "release": dice.log_between(0.05, 0.4),
    }
    name = f"compression {settings['ratio']:.1f}:1"
    return name, lambda sound, _: effects.compressed(sound, rate=rate, **settings)


def _chorus(dice: Dice, rate: int) -> tuple[str, Step]:
    settings = {
        "hertz": dice.log_between(0.2, 3),
        "cents": dice.between(3, 18),
        "seconds": dice.between(0.004, 0.018),
        "mix": dice.between(0.25, 0.8),
        "phase": dice.uniform(),
    }
    return "chorus", lambda sound, _: effects.chorus(sound, rate=rate, **settings)


def _tremolo(dice: Dice, rate: int) -> tuple[str, Step]:
    hertz, depth, phase = dice.between(3, 8), dice.between(0.2, 0.7), dice.uniform()
    return "tremolo", lambda sound, _: effects.tremolo(
        sound, hertz=hertz, depth=depth, phase=phase, rate=rate
    )


def _room(dice: Dice, palette: Palette, likely: Likely, rate: int) -> tuple[str, Step]:
    """Equaliser, resonating body and reverberation as one impulse response."""
    sections = [
        effects.shelf(dice.log_between(120, 500), dice.between(-6, 6), rate, is_high=False),
        effects.shelf(dice.log_between(1500, 5000), dice.between(-8, 6), rate, is_high=True),
    ]
    for _ in range(dice.integer(1, 5)):
        hertz, q = dice.log_between(*likely.hertz), dice.log_between(0.7, 6)
        sections.append(effects.peak(hertz, dice.between(-8, 8), q, rate))
    low = dice.log_between(*likely.low_cut) if dice.chance(0.5) else 0.0
    high = dice.log_between(2800, 7500) if dice.chance(0.3) else math.inf
    sections.append(effects.band(low, high, dice.pick((1, 2)), rate))
    name, response = "equaliser", np.ones(1)
    if dice.chance(0.3):
        body = reverberation("body", dice.between(-14, -5), dice, rate)
        name, response = f"{name}; body", body
    if dice.chance(likely.reverb):
        kind, wet_db = dice.pick(palette.reverbs), dice.between(-22, -5)
        reverb = reverberation(kind, wet_db, dice, rate)
        name, response = f"{name}; {kind} {wet_db:.0f} dB", np.convolve(response, reverb)
    sections = np.concatenate(sections)
    # Filtering the response is cheaper than filtering the sound.
    num_samples = round(min(EQUALISER_SECONDS + len(response) / rate, LONGEST_SECONDS) * rate)
    padded = np.pad(response[:num_samples], (0, max(num_samples - len(response), 0)))
    whole = effects.sosfilt(sections, padded)
    return name, lambda sound, _: effects.convolved(sound, whole)
