"""A whole song through the network in constant memory: windows, overlap-add, decoding.

Windows of one static shape are cut so that the frames kept of each meet exactly; the frames around
them are context for the recurrence and are thrown away. Masked spectra of the kept frames are
overlap-added across window borders like any neighbouring frames, so a border cannot click.
"""

import functools
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cerberus_jax import checkpoint, pretrained
from cerberus_jax.analysis_signal import AnalysisSignal
from cerberus_jax.architecture import decoding_from_json
from cerberus_jax.decoding import DecodingConfig, decode, frame_envelope, with_velocities
from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads import separates, transcribes
from cerberus_jax.model import Cerberus
from cerberus_jax.native_rate import NativeGrid, SongSeparator, mono_blocks
from cerberus_jax.network_file import load_network
from cerberus_jax.notes import Notes
from cerberus_jax.precision_check import check_precision
from cerberus_jax.references import quiet_song
from cerberus_jax.shapes import check_rank, whole_rate
from cerberus_jax.song_windows import whole_masks, window_batch, window_spectrum
from cerberus_jax.steps import Rolls, mask_kind, predict_step
from cerberus_jax.windows import WindowCutter

WINDOW_SECONDS = 12.0
CONTEXT_SECONDS = 0.25  # the least that borders do not show: docs/design.md
DB_REFERENCES = ("window", "song")
MAX_CHANNELS = 64  # with so few samples as _FEW_SAMPLES an array lies the other way
_FEW_SAMPLES = 8
_log = logging.getLogger(__name__)
_FRAMES_PER_PIECE = 256  # of a window that leave together: sources at 44.1 kHz are large


@dataclass(frozen=True)
class Prediction:
    """Waveforms, rolls and notes of every instrument of a song; None for what the network does
    not do: sources without a mask head, rolls and notes without a transcription head, rolls of
    onsets without an onset head."""

    instruments: tuple[str, ...]
    sources: Float[np.ndarray, "s c n"] | None
    rolls: Float[np.ndarray, "r t p"] | None
    notes: dict[str, Notes] | None
    onset_rolls: Float[np.ndarray, "r t p"] | None = None


@dataclass(frozen=True)
class Predictor:
    """A trained network, ready for songs.

    Args:
        model, params: the network.
        decoding: how each instrument's roll is turned into notes.
        window_seconds, context_seconds: length of a window, and what is thrown away at both ends.
        windows_per_call: windows the network sees together, at most.
        db_reference: what counts as 0 dB in a window: the loudest bin of the 'window', with a floor
            (references.py), or of the 'song'.
        exact: give the network the song whole instead; memory then grows with the song.
        extend_masks: continue the masks above half the network's rate; otherwise sources end there.
    """

    model: Cerberus
    params: dict
    decoding: dict[str, DecodingConfig]
    window_seconds: float = WINDOW_SECONDS
    context_seconds: float = CONTEXT_SECONDS
    windows_per_call: int = 8
    db_reference: str = DB_REFERENCES[0]
    exact: bool = False
    extend_masks: bool = True

    def __post_init__(self):
        if self.db_reference not in DB_REFERENCES:
            raise ValueError(
                f"db_reference: one of {', '.join(DB_REFERENCES)} expected, "
                f"got {self.db_reference!r}"
            )

    @classmethod
    def load(cls, workdir: str | os.PathLike, step: str | int = "best", **settings) -> "Predictor":
        """The network of a run's checkpoint: 'best', 'last' or a step number."""
        model, params, metadata = checkpoint.restore_model(workdir, step)
        check_precision(model.precision)
        decoding = decoding_from_json(metadata["decoding"], model)
        return cls(model, params, decoding, **settings)

    @classmethod
    def pretrained(cls, name: str = "", **settings) -> "Predictor":
        """A network of the package, by default its first, or that of a file
        (`network_file.load_network`)."""
        model, params, header = load_network(pretrained.network_path(name))
        check_precision(model.precision)
        return cls(model, params, decoding_from_json(header["decoding"], model), **settings)

    @classmethod
    def untrained(cls, model: Cerberus, *, seed: int = 0) -> "Predictor":
        """The same network with fresh parameters: the floor of every score."""
        frames = jnp.zeros((1, 2, model.grid.num_bins))
        params = model.init(jax.random.key(seed), frames, train=False)["params"]
        return cls(model, params, {name: DecodingConfig() for name in model.instruments})

    @property
    def instruments(self) -> tuple[str, ...]:
        """The instrument slots in order."""
        return self.model.instruments

    @property
    def grid(self) -> FrameGrid:
        """The network's analysis grid."""
        return self.model.grid

    def predict(
        self,
        waveform: Float[np.ndarray, " n"] | Float[np.ndarray, "c n"],
        sample_rate_hz: int | float,
    ) -> Prediction:
        """Separates and transcribes a song of any rate and channel count.

        The masks come from the mean of the channels (analysis_signal.py says where not) and are
        applied to each of them. Sources have the input's rate and length.

        Raises:
            ValueError: if the waveform is empty, not finite or lies the other way, the rate is no
                positive whole number, or the network has neither a mask nor a transcription head.
        """
        waveform = np.atleast_2d(np.asarray(waveform, np.float32))
        self._check(waveform)
        sample_rate_hz = whole_rate(sample_rate_hz)
        db_reference = None
        if not self.exact:
            db_reference = self.song_db_reference([waveform], sample_rate_hz)
        stream = self.predict_stream([waveform], sample_rate_hz, db_reference=db_reference)
        sources, rolls = (
            jax.tree.map(lambda *arrays, axis=axis: np.concatenate(arrays, axis), *pieces)
            for pieces, axis in zip(zip(*stream, strict=True), (2, 1), strict=True)
        )
        notes = None if rolls is None else self.decode(*rolls)
        if notes and sources is not None:
            notes = {
                name: with_velocities(
                    notes[name],
                    frame_envelope(sources[slot], sample_rate_hz, self.grid),
                    self.grid,
                )
                for name, slot in zip(notes, self.model.transcribed_slots, strict=True)
            }
        frames, onsets = rolls or (None, None)
        return Prediction(self.instruments, sources, frames, notes, onsets)

    def decode(
        self,
        rolls: Float[np.ndarray, "r t p"],
        onset_rolls: Float[np.ndarray, "r t p"] | None = None,
    ) -> dict[str, Notes]:
        """Notes of every instrument that is transcribed, by one roll of each or by both."""
        names = self.model.transcribed_instruments
        onset_rolls = [None] * len(names) if onset_rolls is None else onset_rolls
        return {
            name: decode(roll, self.grid, config=self.decoding[name], onset_roll=onset_roll)
            for name, roll, onset_roll in zip(names, rolls, onset_rolls, strict=True)
        }

    def predict_batch(
        self, waveforms: Float[np.ndarray, "b n"]
    ) -> tuple[Float[np.ndarray, "b s n"] | None, Rolls | None]:
        """Estimates and rolls of short mixtures at the network's rate, whole and at once."""
        check_rank("predict_batch: waveforms", waveforms, ("b", "n"))
        found = _whole(self.params, jnp.asarray(waveforms, jnp.float32), self.model)
        return jax.tree.map(np.asarray, found)

    def song_db_reference(
        self, blocks: Iterable[Float[np.ndarray, "c _"]], sample_rate_hz: int | float | None = None
    ) -> float:
        """The largest magnitude of a song's spectra, in constant memory."""
        rate = self.grid.sample_rate_hz
        from_hz = whole_rate(sample_rate_hz or rate)
        signal = AnalysisSignal(from_hz)
        mono = mono_blocks(blocks, None, from_hz=from_hz, to_hz=rate, signal=signal)
        cutter = WindowCutter.of(self.grid, window_seconds=self.window_seconds, context_seconds=0.0)
        return max(
            float(window_spectrum(window.samples, self.grid)[0, : window.num_frames].max())
            for window in cutter.cut(mono)
        )

    def predict_stream(
        self,
        blocks: Iterable[Float[np.ndarray, "c _"]],
        sample_rate_hz: int | float | None = None,
        *,
        db_reference: float | None = None,
    ) -> Iterator[tuple[np.ndarray | None, Rolls | None]]:
        """Sources and rolls of a song that comes in blocks, in memory that does not grow with it.

        Args:
            blocks: consecutive samples of any lengths, all with the same channels.
            sample_rate_hz: theirs; None for the network's.
            db_reference: of the song, from `song_db_reference` (which reads it once before): what
                counts as 0 dB where the predictor's own is 'song', and else what no window may fall
                far below; None for the loudest bin until then.

        Raises:
            ValueError: if the 'song' counts and its reference is missing, or the network has
                neither a mask nor a transcription head.

        Yields:
            consecutive pieces of the sources [s c n] and of the rolls, each [r t p]; put together
            they have the song's samples and frames. None in the place of what has no head.
        """
        self._check_heads()
        if self.db_reference == "song" and db_reference is None and not self.exact:
            raise ValueError("db_reference: 'song' needs that of song_db_reference, got None")
        rate = whole_rate(sample_rate_hz or self.grid.sample_rate_hz)
        separator = None
        if separates(self.model.heads):
            native = NativeGrid(self.grid, rate, self.extend_masks)
            separator = SongSeparator(native, mask_kind(self.model))
        signal = AnalysisSignal(rate)
        to_hz = self.grid.sample_rate_hz
        mono = mono_blocks(blocks, separator, from_hz=rate, to_hz=to_hz, signal=signal)
        rolls = None
        for frames in self._masks_whole(mono) if self.exact else self._masks(mono, db_reference):
            for first in range(0, jax.tree.leaves(frames)[0].shape[1], _FRAMES_PER_PIECE):
                piece = slice(first, first + _FRAMES_PER_PIECE)
                masks, rolls = jax.tree.map(lambda array, piece=piece: array[:, piece], frames)
                yield separator.apply(masks) if separator else None, rolls
        if separator:
            yield separator.rest(), jax.tree.map(lambda roll: roll[:, :0], rolls)
        for doubt in [*signal.doubts(), *quiet_song(db_reference, self.grid)]:
            _log.warning("%s", doubt)

    def _masks(
        self, mono: Iterable[np.ndarray], db_reference: float | None
    ) -> Iterator[tuple[np.ndarray | None, Rolls | None]]:
        """Masks [s t f] and rolls [r t p] of consecutive frames, window by window; None in the
        place of what has no head."""
        cutter = WindowCutter.of(
            self.grid, window_seconds=self.window_seconds, context_seconds=self.context_seconds
        )
        by_song, in_progress = self.db_reference == "song", None
        loudest = jnp.float32(db_reference or 0)
        for group in _groups(cutter.cut(mono), self.windows_per_call):
            # At the end of a song as few as fit into a power of two: few shapes, little waste.
            count = min(1 << (len(group) - 1).bit_length(), self.windows_per_call)
            filled = group + [group[-1]] * (count - len(group))
            audio = np.stack([window.samples[0] for window in filled])
            frames, loudest = window_batch(
                self.params, audio, loudest, self.model, cutter.context, by_song
            )
            # The device works on these while the host is busy with those before.
            if in_progress:
                yield from _of_each_window(*in_progress)
            in_progress = group, frames
        if in_progress:
            yield from _of_each_window(*in_progress)

    def _masks_whole(
        self, mono: Iterable[np.ndarray]
    ) -> Iterator[tuple[np.ndarray | None, Rolls | None]]:
        """The same of the whole song at once."""
        song = np.concatenate([*mono, np.zeros((1, 0), np.float32)], axis=1)
        if not song.shape[1]:
            raise ValueError("blocks: the song has no samples")
        frames = whole_masks(self.params, song, self.model)
        yield jax.tree.map(lambda array: np.asarray(array[0]), frames)

    def _check_heads(self):
        if not (separates(self.model.heads) or transcribes(self.model.heads)):
            raise ValueError(
                "the network has neither a mask nor a transcription head (it has "
                f"{', '.join(self.model.heads)}); a song is separated or transcribed by those"
            )

    def _check(self, waveform):
        if waveform.ndim != 2 or waveform.size == 0:
            raise ValueError(
                f"waveform: samples of shape [n] or [c n] expected, got {waveform.shape}"
            )
        num_channels, num_samples = waveform.shape
        if num_channels > MAX_CHANNELS and num_samples <= _FEW_SAMPLES:
            raise ValueError(
                f"waveform: channels first, [c n], expected, got {num_channels} channels of "
                f"{num_samples} samples; samples first, as soundfile reads them, take waveform.T"
            )
        if not np.isfinite(waveform).all():
            raise ValueError("waveform: every sample must be finite, got NaN or infinity")


@functools.partial(jax.jit, static_argnums=2)
def _whole(params, waveforms, model):
    return predict_step(params, waveforms, model=model)


def _of_each_window(group, frames):
    frames = jax.tree.map(np.asarray, frames)
    for k, window in enumerate(group):
        yield jax.tree.map(lambda array, k=k, end=window.num_frames: array[k, :, :end], frames)


def _groups(items, size):
    group = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
