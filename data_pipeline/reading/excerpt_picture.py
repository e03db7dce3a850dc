"""The picture of an excerpt: log-frequency spectrograms with the notes drawn on them.

Each octave is shown at the resolution that suits it: long windows below, short ones above,
crossfaded. A note is a box one semitone high around its fundamental, open inside, so that the
partial can be seen in it.
"""

import itertools
import os

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.mlab import specgram

from cerberus_jax.notes import Notes
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.io.files import whole_file
from data_pipeline.io.pcm import mix
from data_pipeline.planning.batch import Excerpt

LOWEST, HIGHEST = 21.0, 116.0  # MIDI pitches at the borders of the picture
BINS_PER_SEMITONE = 4
HOP_SECONDS = 0.01
WINDOWS = ((0.36, 43.0), (0.2, 62.0), (0.128, 82.0), (0.064, 116.0))  # seconds, up to pitch
RANGE_DB = 66.0
TILT_DB_PER_OCTAVE = 3.0  # upper partials are weaker; this keeps them visible

BACKGROUND, INK, FAINT = "#0d1117", "#e6edf3", "#8b949e"
SHADES = LinearSegmentedColormap.from_list(
    "shades", ["#0d1117", "#1b2230", "#3a4356", "#78839a", "#c3cbd9", "#ffffff"]
)
DRUM_ROWS = {  # General MIDI percussion
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "hi-hat": (42, 44, 46),
    "toms": (41, 43, 45, 47, 48, 50),
    "cymbals": (49, 51, 52, 53, 55, 57, 59),
}


def draw_excerpt(
    excerpt: Excerpt,
    instruments: tuple[str, ...],
    *,
    path: str | os.PathLike,
    title: str,
    sample_rate_hz: int,
    drums: list[str] | tuple[str, ...] = (),
) -> None:
    """Write the picture: the mixture with all notes, below it every source with its own.

    A single source is the mixture and is not shown twice.

    Args:
        excerpt: what to draw.
        instruments: names of its sources.
        path: the file, .png or what else matplotlib writes.
        title: heading; the excerpt's id stands beside it.
        sample_rate_hz: of the sources.
        drums: the instruments whose pitches are drums, not tones; they get a strip of their own.
    """
    panels = instruments if len(instruments) > 1 else ()
    heights = [4.6, 1.25 if drums else 0.01] + [2.5] * -(-len(panels) // 2)
    figure = Figure(figsize=(16, 1.5 + sum(heights)), facecolor=BACKGROUND, layout="constrained")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    colours = {name: INSTRUMENTS[name].colours[1] for name in instruments}
    notes = dict(zip(instruments, excerpt.cut_notes, strict=True))
    counts = [note_count(*pair) for pair in zip(excerpt.notes, excerpt.labelled, strict=True)]
    counts = dict(zip(instruments, counts, strict=True))
    seconds = excerpt.sources.shape[-1] / sample_rate_hz
    figure.suptitle(title, color=INK, fontsize=17, fontweight="bold", x=0.01, ha="left")
    top = 1 - 0.12 / figure.get_figheight()  # beside the title, for which the layout makes room
    figure.text(0.993, top, excerpt.id, color=FAINT, fontsize=10, ha="right", va="top")
    whole = figure.add_subplot(grid[0, :])
    _spectrogram(whole, mix(excerpt.sources), sample_rate_hz)
    _heading(whole, "mixture", "")
    for name in instruments:
        if name not in drums:
            _boxes(whole, notes[name], colours[name])
    _legend(whole, {f"{name} ({counts[name]})": colours[name] for name in instruments})
    if drums:
        strip = figure.add_subplot(grid[1, :], sharex=whole)
        for name in drums:
            _hits(strip, notes[name], colours[name], seconds)
        _heading(strip, ", ".join(drums), "hits by kind")
    for number, name in enumerate(panels):
        alone = number % 2 == 0 and number == len(panels) - 1
        column = slice(None) if alone else number % 2
        axes = figure.add_subplot(grid[2 + number // 2, column], sharex=whole)
        _spectrogram(axes, excerpt.sources[number], sample_rate_hz)
        _heading(axes, name, counts[name], colours[name])
        if name in drums:
            for onset in notes[name].onsets:
                axes.axvline(onset, color=colours[name], linewidth=0.7, alpha=0.75)
        else:
            _boxes(axes, notes[name], colours[name])
    for axes in figure.axes:
        _style(axes, seconds)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110, facecolor=BACKGROUND, format=str(path).rsplit(".")[-1])


def note_count(notes: Notes, labelled: bool) -> str:
    """How many notes a source has, in words."""
    return f"{len(notes)} notes" if labelled else "no labels"


def log_spectrogram(
    waveform: Float[np.ndarray, " n"], sample_rate_hz: int
) -> tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, " rows"]]:
    """Magnitudes in dB, one column per 10 ms, centred, and the MIDI pitch of each row."""
    nyquist = 69 + 12 * np.log2(sample_rate_hz / 2 / 440)
    pitches = np.arange(LOWEST, min(HIGHEST, nyquist), 1 / BINS_PER_SEMITONE)
    hop = round(HOP_SECONDS * sample_rate_hz)
    num_columns = 1 + len(waveform) // hop
    magnitude_db, weights = 0.0, _crossfade(pitches)
    for (length, _), weight in zip(WINDOWS, weights, strict=True):
        window = 2 * round(length * sample_rate_hz / 2)
        padded = np.pad(waveform, (window // 2, window // 2 + hop))
        spectrum, frequencies, _ = specgram(
            padded,
            NFFT=window,
            Fs=sample_rate_hz,
            noverlap=window - hop,
            pad_to=4 * window,
            mode="magnitude",
        )
        bins = 440 * 2 ** ((pitches - 69) / 12) / frequencies[1]
        below = np.minimum(bins.astype(int), len(spectrum) - 2)
        share = (bins - below)[:, None]  # of the bin above
        rows = (1 - share) * spectrum[below, :num_columns]
        rows = rows + share * spectrum[below + 1, :num_columns]
        magnitude_db = magnitude_db + weight[:, None] * 20 * np.log10(rows + 1e-7)
    return magnitude_db, pitches


def _crossfade(pitches: Float[np.ndarray, " rows"]) -> list[Float[np.ndarray, " rows"]]:
    """The share of each window at each pitch; neighbours fade into each other over an octave."""
    above = [np.ones_like(pitches)]
    above += [np.clip((pitches - border) / 12 + 0.5, 0, 1) for _, border in WINDOWS[:-1]]
    above.append(np.zeros_like(pitches))
    return [share - following for share, following in itertools.pairwise(above)]


def _spectrogram(axes: Axes, waveform: np.ndarray, sample_rate_hz: int) -> None:
    magnitude_db, pitches = log_spectrogram(np.asarray(waveform, np.float64), sample_rate_hz)
    magnitude_db = magnitude_db + TILT_DB_PER_OCTAVE * (pitches - LOWEST)[:, None] / 12
    top = magnitude_db.max()
    half = 0.5 / BINS_PER_SEMITONE
    edge = HOP_SECONDS / 2
    axes.imshow(
        magnitude_db,
        origin="lower",
        aspect="auto",
        cmap=SHADES,
        vmin=top - RANGE_DB,
        vmax=top,
        interpolation="bilinear",
        extent=(
            -edge,
            magnitude_db.shape[1] * HOP_SECONDS - edge,
            pitches[0] - half,
            pitches[-1] + half,
        ),
    )
    octaves = np.arange(24, pitches[-1], 12)
    hertz = [f"{440 * 2 ** ((pitch - 69) / 12):.0f}" for pitch in octaves]
    labels = [f"{hz} Hz  C{i + 1}" for i, hz in enumerate(hertz)]
    axes.set_yticks(octaves, labels)
    axes.set_ylim(pitches[0] - half, pitches[-1] + half)


def _boxes(axes: Axes, notes: Notes, colour: str) -> None:
    low, high = notes.pitches - 0.5, notes.pitches + 0.5
    start, end = notes.onsets, np.maximum(notes.offsets, notes.onsets + 0.02)
    corners = [[start, low], [end, low], [end, high], [start, high]]
    boxes = np.stack([np.stack(corner, -1) for corner in corners], 1)
    axes.add_collection(
        PolyCollection(boxes, facecolors=to_rgba(colour, 0.10), edgecolors=colour, linewidths=1.1)
    )
    onsets = np.stack([np.stack([start, low - 0.3], -1), np.stack([start, high + 0.3], -1)], 1)
    axes.add_collection(PolyCollection(onsets, edgecolors=colour, linewidths=2.2, closed=False))


def _hits(axes: Axes, notes: Notes, colour: str, seconds: float) -> None:
    row_of = {pitch: row for row, pitches in enumerate(DRUM_ROWS.values()) for pitch in pitches}
    rows = [row_of.get(pitch, len(DRUM_ROWS)) for pitch in notes.pitches.tolist()]
    axes.hlines(np.arange(len(DRUM_ROWS) + 1), 0, seconds, color="#21262d", linewidth=0.8)
    axes.scatter(notes.onsets, rows, s=notes.velocities * 0.9, marker="|", color=colour, lw=1.8)
    axes.set_yticks(range(len(DRUM_ROWS) + 1), [*DRUM_ROWS, "other"])
    axes.set_ylim(-0.7, len(DRUM_ROWS) + 0.7)


def _heading(axes: Axes, name: str, text: str, colour: str = INK) -> None:
    axes.set_title(name, loc="left", color=colour, fontsize=13, fontweight="bold")
    axes.set_title(text, loc="right", color=FAINT, fontsize=10)


def _legend(axes: Axes, colours: dict[str, str]) -> None:
    handles = [Line2D([], [], color=colour, linewidth=4) for colour in colours.values()]
    axes.legend(
        handles,
        list(colours),
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.1,
        ncols=len(colours),
        frameon=False,
        labelcolor=INK,
        fontsize=11,
    )


def _style(axes: Axes, seconds: float) -> None:
    axes.set_facecolor(BACKGROUND)
    axes.tick_params(colors=FAINT, labelsize=9, length=3)
    axes.set_xlim(0, seconds)
    axes.xaxis.set_major_formatter("{x:g} s")
    for spine in axes.spines.values():
        spine.set_color("#30363d")
