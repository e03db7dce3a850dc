"""Impulse responses of synthetic rooms, halls, plates, springs and bodies.

The direct sound is the first sample and stays the strongest, so onsets stay where they are. Late
reverberation is noise that decays exponentially, the faster the higher (Moorer 1979).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter, sosfilt

from data_pipeline.minislakh.dice import Dice

Response = Float[np.ndarray, " n"]
LONGEST_SECONDS = 1.2


def room(dice: Dice, rate: int) -> Response:
    """A small room: distinct early reflections, a short tail."""
    seconds = dice.log_between(0.15, 0.6)
    early = _reflections(dice, dice.integer(5, 12), 0.03, rate)
    return _joined(early, 0.6 * _tail(dice, seconds, dice.between(0.008, 0.02), 0.5, rate))


def hall(dice: Dice, rate: int) -> Response:
    """A large room: later reflections, a long dark tail."""
    seconds = dice.log_between(0.7, 2.2)
    early = _reflections(dice, dice.integer(4, 9), 0.07, rate)
    return _joined(early, _tail(dice, seconds, dice.between(0.02, 0.05), 0.35, rate))


def plate(dice: Dice, rate: int) -> Response:
    """A plate: dense and bright from the start."""
    return _tail(dice, dice.log_between(0.4, 1.8), 0.001, 0.9, rate)


def spring(dice: Dice, rate: int) -> Response:
    """A spring: echoes that chirp, because high frequencies travel at another speed."""
    seconds, period = dice.log_between(0.6, 1.6), dice.between(0.028, 0.045)
    response = np.zeros(round(min(seconds, LONGEST_SECONDS) * rate))
    step = round(period * rate)
    echoes = np.arange(step, len(response), step)
    response[echoes] = (-1.0) ** np.arange(len(echoes)) * 10 ** (-3 * echoes / rate / seconds)
    allpass = np.array([[dice.between(0.5, 0.7), 1.0, 0.0, 1.0, 0.0, 0.0]])
    allpass[0, 4] = allpass[0, 0]
    return sosfilt(np.repeat(allpass, 60, axis=0), response)


def body(dice: Dice, rate: int) -> Response:
    """The case of an instrument: many resonances that die away at once."""
    return _tail(dice, dice.log_between(0.02, 0.12), 0.0005, 0.6, rate)


KINDS: dict[str, Callable[[Dice, int], Response]] = {
    "room": room,
    "hall": hall,
    "plate": plate,
    "spring": spring,
    "body": body,
}


def reverberation(kind: str, wet_db: float | int, dice: Dice, rate: int) -> Response:
    """The direct sound and, `wet_db` re its energy, the reverberation of a kind."""
    wet = KINDS[kind](dice, rate)
    wet = wet * (10 ** (wet_db / 20) / max(float(np.sqrt(np.square(wet).sum())), 1e-9))
    wet[0] = 1.0
    return wet


def _reflections(dice: Dice, count: int, latest: float | int, rate: int) -> Response:
    """Single reflections, the weaker the later."""
    response = np.zeros(round(latest * rate) + 1)
    for _ in range(count):
        when = dice.log_between(0.002, latest)
        response[round(when * rate)] += dice.pick((-1, 1)) * 0.004 / (when + 0.004)
    return response


def _tail(
    dice: Dice, seconds: float | int, begin: float | int, bright: float | int, rate: int
) -> Response:
    """Noise that has decayed by 60 dB after `seconds`, above about 2 kHz after `bright` of that."""
    count = round(min(seconds, LONGEST_SECONDS) * rate)
    noise = 2 * dice.generator.random(count) - 1
    low = lfilter([0.45], [1, -0.55], noise)
    times = np.arange(count) / rate
    decay = 10 ** (-3 * times / seconds)
    tail = low * decay + (noise - low) * decay ** (1 / bright)
    tail *= np.clip((times - begin) / max(begin, 1e-3), 0, 1)
    return tail / max(float(np.sqrt(np.square(tail).sum())), 1e-9)


def _joined(early: Response, late: Float[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
    both = np.zeros(max(len(early), len(late)))
    both[: len(early)] += early / max(float(np.sqrt(np.square(early).sum())), 1e-9)
    both[: len(late)] += late
    return both
