"""Renders parts with soundfonts into one track folder of exactly Slakh's shape.

Every stem is brought to the same level (RMS over the 0.1 s cells in which it sounds), one common
gain per track then keeps the sum from clipping, and the mix is the sum of the 16-bit stems, sample
by sample.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tinysoundfont
import yaml
from jaxtyping import Float, Int16

from data_pipeline.io.audio import write_audio
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.io.pcm import to_pcm16
from data_pipeline.minislakh import programs
from data_pipeline.minislakh.dice import Dice

RENDERER = "minislakh"  # in metadata.yaml it tells the index that bass labels are as they sound
STEM_LEVEL_DB, PEAK_DB = -26.0, -1.0
SILENCE_DB = -70.0  # Slakh's word for the loudness of silence
DRUM_CHANNEL, DRUM_BANK = 9, 128
DRUM_HOLD_SECONDS = 0.25


@dataclass(frozen=True)
class TrackInfo:
    """What metadata.yaml says of a track besides its stems.

    Args:
        name: its folder, such as Track00001.
        uuid: 32 hexadecimal digits that name its content.
        source: where its notes come from.
        bpm: for the MIDI files.
        extra: more keys for metadata.yaml.
    """

    name: str
    uuid: str
    source: str
    bpm: float | int
    extra: dict


def default_soundfont() -> str:
    """TimGM6mb.sf2, which comes inside the pretty_midi package; that is found, not imported.

    Raises:
        FileNotFoundError: if the package is not installed.
    """
    package = find_spec("pretty_midi")
    if package is None:
        raise FileNotFoundError(
            "no soundfont: the default one comes with pretty_midi, which is not installed; "
            "pip install pretty_midi, or name another by --soundfont"
        )
    return os.path.join(package.submodule_search_locations[0], "TimGM6mb.sf2")


class Renderer:
    """Holds the synthesizers; one serves any number of tracks.

    Args:
        soundfonts: General MIDI soundfonts (.sf2, .sf3); each stem draws one. None given: the
            default.
        sample_rate_hz: of all it renders.

    Raises:
        FileNotFoundError: if a soundfont does not exist.
        ValueError: if a file is no soundfont, or the rate is out of range.
    """

    def __init__(self, soundfonts: tuple[str, ...] = (), *, sample_rate_hz: int = 16000):
        if not 8000 <= sample_rate_hz <= 192000:
            raise ValueError(f"sample_rate_hz must lie in 8000..192000, got {sample_rate_hz}")
        self.sample_rate_hz = sample_rate_hz
        self._synths = {}
        for path in soundfonts or (default_soundfont(),):
            self._synths[str(path)] = self._load(str(path))

    def _load(self, path: str):
        if not os.path.isfile(path):
            raise FileNotFoundError(f"soundfont: expected an .sf2 or .sf3 file, {path} is none")
        synth = tinysoundfont.Synth(samplerate=self.sample_rate_hz)
        try:
            return synth, synth.sfload(path)
        except RuntimeError as error:
            raise ValueError(
                f"soundfont: {path} cannot be read as a soundfont (.sf2 or .sf3)"
            ) from error

    def draw_soundfont(self, part: Part, dice: Dice) -> str:
        """One of the soundfonts that have the part's program."""
        presets = {(0, part.program)}
        if part.is_drum:  # the standard kit stands in for a missing one
            presets = {(DRUM_BANK, part.program), (DRUM_BANK, 0)}
        able = [
            path
            for path, (synth, font) in self._synths.items()
            if any(synth.sfpreset_name(font, *preset) is not None for preset in presets)
        ]
        if not able:
            missing = "drum kit" if part.is_drum else programs.PROGRAM_NAMES[part.program]
            raise ValueError(
                f"soundfont: none of {', '.join(self._synths)} has General MIDI program "
                f"{part.program} ({missing}); add a complete one by --soundfont"
            )
        return dice.pick(able)

    def render(self, part: Part, *, soundfont: str, num_samples: int) -> Float[np.ndarray, " n"]:
        """The sound of one part, mono, cut at `num_samples`."""
        blocks = self.blocks(part, soundfont=soundfont, num_samples=num_samples, size=num_samples)
        return np.concatenate([np.zeros(0, np.float32), *blocks])

    def blocks(
        self, part: Part, *, soundfont: str, num_samples: int, size: int = 1 << 20
    ) -> Iterator[Float[np.ndarray, " m"]]:
        """The same in blocks of `size`; only one part at a time."""
        synth, font = self._synths[soundfont]
        channel = DRUM_CHANNEL if part.is_drum else 0
        synth.program_select(
            channel, font, DRUM_BANK if part.is_drum else 0, part.program, part.is_drum
        )
        events = iter([*self._events(part, num_samples), (num_samples, None, 0, 0)])
        event = next(events)
        for start in range(0, num_samples, max(size, 1)):
            stereo = np.zeros((min(size, num_samples - start), 2), np.float32)
            view, now, end = memoryview(stereo).cast("B"), start, start + len(stereo)
            while now < end:
                until = min(event[0], end)
                if until > now:
                    synth.generate_simple(
                        until - now, view[8 * (now - start) : 8 * (until - start)]
                    )
                    now = until
                while event[0] == now and event[1] is not None:
                    self._play(synth, channel, *event[1:])
                    event = next(events)
            yield 0.5 * (stereo[:, 0] + stereo[:, 1])
        self._silence(synth)

    def _play(self, synth, channel, is_onset, pitch, velocity):
        if is_onset:
            synth.noteon(channel, pitch, velocity)
        else:
            synth.noteoff(channel, pitch)

    def _events(self, part: Part, num_samples: int) -> list[tuple[int, int, int, int]]:
        """(sample, 1 onset or 0 offset, pitch, velocity) in order, ends before beginnings."""
        onsets, offsets = part.notes.intervals.T
        if part.is_drum:
            offsets = np.maximum(offsets, onsets + DRUM_HOLD_SECONDS)
        first = np.rint(onsets * self.sample_rate_hz).astype(np.int64)
        last = np.maximum(np.rint(offsets * self.sample_rate_hz).astype(np.int64), first + 1)
        pitches, velocities = part.notes.pitches.tolist(), part.notes.velocities.tolist()
        events = [
            *zip(first.tolist(), [1] * len(first), pitches, velocities, strict=True),
            *zip(last.tolist(), [0] * len(last), pitches, velocities, strict=True),
        ]
        return sorted(event for event in events if event[0] < num_samples)

    def _silence(self, synth) -> None:
        """Ends all voices, so that the next stem does not depend on this one."""
        synth.sounds_off()
        block = np.empty(2 * 1024, np.float32)
        for _ in range(1024):
            synth.generate_simple(1024, memoryview(block).cast("B"))
            if not block.any():
                return


def level_db(waveform: Float[np.ndarray, " n"], sample_rate_hz: int) -> float:
    """RMS over the 0.1 s cells within 40 dB of the loudest one, in dB; SILENCE_DB for silence."""
    size = sample_rate_hz // 10
    cells = np.pad(waveform, (0, -len(waveform) % size)).reshape(-1, size)
    power = np.mean(np.square(cells, dtype=np.float64), axis=1)
    if not power.any():
        return SILENCE_DB
    return float(10 * np.log10(power[power >= 1e-4 * power.max()].mean()))


def balance(
    stems: list[np.ndarray], sample_rate_hz: int
) -> tuple[list[Int16[np.ndarray, " n"]], float, list[float]]:
    """Stems in 16 bits at equal level, the common gain in them, their levels before it in dB."""
    levelled, levels = [], []
    for stem in stems:
        level = level_db(stem, sample_rate_hz)
        silent = level <= SILENCE_DB
        levelled.append(stem * np.float32(1.0 if silent else 10 ** ((STEM_LEVEL_DB - level) / 20)))
        levels.append(SILENCE_DB if silent else STEM_LEVEL_DB)
    peak = max(np.abs(waveform).max() for waveform in [sum(levelled), *levelled])
    gain = 10 ** (PEAK_DB / 20) / float(peak) if peak > 0 else 1.0
    return [to_pcm16(stem * np.float32(gain)) for stem in levelled], gain, levels


def partial_root(out: Path) -> Path:
    """Where unfinished tracks of a tree lie: too deep for the index to find them."""
    return out / ".partial" / "unfinished" / "tracks"


def write_track(
    folder: Path, parts: list[Part], info: TrackInfo, *, renderer: Renderer, seconds: float
) -> None:
    """Render the parts into `folder`, which appears only when it is whole."""
    rate = renderer.sample_rate_hz
    num_samples = max(round(seconds * rate), 1)
    fonts = [
        renderer.draw_soundfont(part, Dice(int(info.uuid, 16), f"soundfont {index}"))
        for index, part in enumerate(parts)
    ]
    sounds = [
        renderer.render(part, soundfont=font, num_samples=num_samples)
        for part, font in zip(parts, fonts, strict=True)
    ]
    stems, gain, levels = balance(sounds, rate)
    identifiers = [f"S{index:02d}" for index in range(len(parts))]
    partial = (
        partial_root(folder.parent.parent) / f"{folder.parent.name}-{folder.name}-{os.getpid()}"
    )
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / "MIDI").mkdir(parents=True)
        (partial / "stems").mkdir()
        for name, part, stem in zip(identifiers, parts, stems, strict=True):
            write_midi(partial / "MIDI" / f"{name}.mid", [part], bpm=info.bpm)
            write_audio(partial / "stems" / f"{name}.flac", stem, sample_rate_hz=rate)
        write_midi(partial / "all_src.mid", parts, bpm=info.bpm)
        mix = np.sum(stems, axis=0, dtype=np.int32).astype(np.int16)
        write_audio(partial / "mix.flac", mix, sample_rate_hz=rate)
        metadata = _metadata(info, identifiers, parts, fonts, gain, levels)
        (partial / "metadata.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another process may just have made the same track
            partial.rename(folder)
        if not folder.is_dir():
            raise OSError(f"{folder}: the rendered track could not be moved there")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _metadata(info: TrackInfo, identifiers, parts, fonts, gain: float | int, levels) -> dict:
    """The keys of Slakh's metadata.yaml, and `renderer`."""
    stems = {}
    for name, part, font, level in zip(identifiers, parts, fonts, levels, strict=True):
        inst_class, program_name = programs.names(part.program, part.is_drum)
        stems[name] = {
            "audio_rendered": True,
            "inst_class": inst_class,
            "integrated_loudness": level,
            "is_drum": part.is_drum,
            "midi_program_name": program_name,
            "midi_saved": True,
            "plugin_name": os.path.basename(font),
            "program_num": 128 if part.is_drum else part.program,
        }
    return {
        "UUID": info.uuid,
        "audio_dir": f"{info.name}/stems",
        "lmd_midi_dir": info.source,
        "midi_dir": f"{info.name}/MIDI",
        "normalization_factor": STEM_LEVEL_DB,
        "normalized": True,
        "overall_gain": gain,
        "renderer": RENDERER,
        "stems": stems,
        "target_peak": PEAK_DB,
        **info.extra,
    }


def content_uuid(content: bytes) -> str:
    """32 hexadecimal digits that name some content, as Slakh's UUIDs name MIDI files."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
