"""Changes of timbre that leave the notes where they are. All take and give one channel.

Linear effects that do not change in time are impulse responses (see `equaliser` and
reverberation.py): they are convolved with one another and then once with the sound.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, lfilter, oaconvolve, resample_poly, sosfilt

Sound = Float[np.ndarray, " n"]


def peak(
    hertz: float | int, gain_db: float | int, q: float | int, rate: int
) -> Float[np.ndarray, "1 6"]:
    """A peaking filter as a second-order section (Bristow-Johnson, Audio EQ Cookbook)."""
    amplitude, angle = 10 ** (gain_db / 40), _angle(hertz, rate)
    alpha, cosine = math.sin(angle) / (2 * q), math.cos(angle)
    b = (1 + alpha * amplitude, -2 * cosine, 1 - alpha * amplitude)
    a = (1 + alpha / amplitude, -2 * cosine, 1 - alpha / amplitude)
    return np.array([[*b, *a]]) / a[0]


def shelf(
    hertz: float | int, gain_db: float | int, rate: int, *, is_high: bool
) -> Float[np.ndarray, "1 6"]:
    """A shelving filter of slope 1 as a second-order section (the same source)."""
    amplitude, angle = 10 ** (gain_db / 40), _angle(hertz, rate)
    cosine = math.cos(angle) * (-1 if is_high else 1)
    edge = math.sqrt(2 * amplitude) * math.sin(angle)
    above, below = amplitude + 1, amplitude - 1
    b = np.array(
        [
            amplitude * (above - below * cosine + edge),
            2 * amplitude * (below - above * cosine),
            amplitude * (above - below * cosine - edge),
        ]
    )
    a = np.array(
        [
            above + below * cosine + edge,
            -2 * (below + above * cosine),
            above + below * cosine - edge,
        ]
    )
    if is_high:
        b[1], a[1] = -b[1], -a[1]
    return np.concatenate([b, a])[None] / a[0]


def _angle(hertz, rate):
    """Of a frequency at a rate; above .45 of it these filters warp, and above a half they ring."""
    return 2 * math.pi * min(hertz / rate, 0.45)


def band(low: float | int, high: float | int, order: int, rate: int) -> Float[np.ndarray, "k 6"]:
    """A Butterworth band; a limit of 0 Hz, or one above 0.48 of the rate, is left out."""
    sections = np.zeros((0, 6))
    if low > 0:
        sections = np.concatenate([sections, butter(order, low, "high", fs=rate, output="sos")])
    if high < 0.48 * rate:
        sections = np.concatenate([sections, butter(order, high, "low", fs=rate, output="sos")])
    return sections


def without_offset(sound: Sound, rate: int) -> Sound:
    """What is below 15 Hz taken away: some samples of soundfonts and curves of drive leave an
    offset, which would count in the level of a stem and which nobody hears."""
    return sosfilt(band(15, rate, 2, rate), sound).astype(np.float32)


def equaliser(sections: Float[np.ndarray, "k 6"], num_samples: int) -> Sound:
    """The impulse response of second-order sections in a row."""
    impulse = np.zeros(num_samples)
    impulse[0] = 1.0
    return sosfilt(sections, impulse) if len(sections) else impulse


def convolved(sound: Sound, response: Float[np.ndarray, " m"]) -> Sound:
    """The sound through an impulse response, as long as before."""
    return oaconvolve(sound, response.astype(np.float32))[: len(sound)]


DRIVES: dict[str, Callable[[Sound], Sound]] = {
    "soft": np.tanh,
    "tube": lambda x: np.tanh(x + 0.4) - math.tanh(0.4),
    "clip": lambda x: np.clip(x, -1, 1),
    "fold": lambda x: np.sin(np.clip(x, -4, 4)) + 0.3 * np.tanh(x),
}


def driven(sound: Sound, kind: str, gain_db: float | int, mix: float | int) -> Sound:
    """Through a curve of DRIVES, computed at twice the rate against aliasing.

    Args:
        sound: its level is taken into account.
        kind: the curve.
        gain_db: level of the sound before the curve, re the level at which it bends.
        mix: share of the driven sound, 0 to 1.
    """
    level = loudness(sound)
    if level <= 0:
        return sound
    hot = resample_poly(sound * np.float32(10 ** (gain_db / 20) / level), 2, 1)
    bent = resample_poly(DRIVES[kind](hot), 1, 2)[: len(sound)]
    bent = bent - bent.mean()
    return (1 - mix) * sound + mix * bent * np.float32(level / max(loudness(bent), 1e-9))


def compressed(
    sound: Sound,
    *,
    threshold_db: float | int,
    ratio: float | int,
    attack: float | int,
    release: float | int,
    rate: int,
) -> Sound:
    """Compressed above a threshold relative to the sound's level; times in seconds."""
    hop = max(rate // 500, 1)
    cells = np.pad(sound, (0, -len(sound) % hop)).reshape(-1, hop)
    power = np.square(cells).mean(axis=1)
    level = loudness(sound)
    if level <= 0:
        return sound
    # A fast and a slow smoothing: the larger follows attacks at once and lets go slowly.
    fast, slow = (math.exp(-hop / rate / seconds) for seconds in (attack, release))
    envelope = np.maximum(*(lfilter([1 - c], [1, -c], power) for c in (fast, slow)))
    over_db = 10 * np.log10(envelope / level**2 + 1e-12) - threshold_db
    gains = 10 ** (-np.maximum(over_db, 0) * (1 - 1 / ratio) / 20)
    return sound * _stretched(gains, hop, len(sound))


def shaped(sound: Sound, onsets: Float[np.ndarray, " k"], curve: Callable, rate: int) -> Sound:
    """Times a gain that depends on the time since the last onset.

    Args:
        sound: whose notes begin at `onsets`.
        onsets: in seconds, in any order.
        curve: gain from seconds since the last onset; 1 ms cells.
        rate: samples a second.
    """
    hop = max(rate // 1000, 1)
    times = np.arange(len(sound) // hop + 2) * (hop / rate)
    first = np.sort(onsets)
    index = np.searchsorted(first, times + 1e-9, side="right") - 1
    since = np.where(index >= 0, times - first[np.maximum(index, 0)], np.inf)
    return sound * _stretched(curve(since), hop, len(sound))


def _stretched(gains: np.ndarray, hop: int, num_samples: int) -> Sound:
    """Gains of cells as gains of samples, joined by straight lines."""
    gains = np.append(gains, gains[-1]).astype(np.float32)
    steps = np.arange(hop, dtype=np.float32) / hop
    lines = gains[:-1, None] + np.diff(gains)[:, None] * steps
    lines = lines.reshape(-1)[:num_samples]
    return np.pad(lines, (0, num_samples - len(lines)), mode="edge")


def delayed(sound: Sound, delay: Float[np.ndarray, " n"]) -> Sound:
    """The sound, each sample read so many samples (not whole, not negative) before."""
    position = np.maximum(np.arange(len(sound), dtype=np.float64) - delay, 0.0)
    index = position.astype(np.int64)
    part = (position - index).astype(np.float32)
    after = np.minimum(index + 1, len(sound) - 1)
    return sound[index] * (1 - part) + sound[after] * part


def vibrato(
    sound: Sound, *, hertz: float | int, cents: float | int, phase: float | int, rate: int
) -> Sound:
    """A pitch that swings by `cents` to either side; at 30 cents and 4.5 Hz it delays by up to
    1.24 ms, less for smaller or faster swings.
    """
    depth = (2 ** (cents / 1200) - 1) * rate / (2 * math.pi * hertz)
    return delayed(sound, depth * (1 + _wave(len(sound), hertz, phase, rate)))


def chorus(
    sound: Sound,
    *,
    hertz: float | int,
    cents: float | int,
    seconds: float | int,
    mix: float | int,
    phase: float | int,
    rate: int,
) -> Sound:
    """With a delayed copy that swings in pitch."""
    depth = (2 ** (cents / 1200) - 1) * rate / (2 * math.pi * hertz)
    copy = delayed(sound, seconds * rate + depth * (1 + _wave(len(sound), hertz, phase, rate)))
    return sound + np.float32(mix) * copy


def tremolo(
    sound: Sound, *, hertz: float | int, depth: float | int, phase: float | int, rate: int
) -> Sound:
    """Louder and softer, down to 1 - depth."""
    return sound * (1 - np.float32(0.5 * depth) * (1 + _wave(len(sound), hertz, phase, rate)))


def _wave(num_samples: int, hertz: float | int, phase: float | int, rate: int) -> Sound:
    hop = max(rate // 1000, 1)
    cells = np.arange(num_samples // hop + 2) * (2 * math.pi * hertz * hop / rate)
    return _stretched(np.sin(cells + 2 * math.pi * phase), hop, num_samples)


def loudness(sound: Sound) -> float:
    """RMS of the loudest twentieth of the cells of 1000 samples."""
    cells = np.pad(sound, (0, -len(sound) % 1000)).reshape(-1, 1000)
    power = np.sort(np.square(cells, dtype=np.float64).mean(axis=1))
    return float(np.sqrt(power[-max(len(power) // 20, 1) :].mean()))
