"""Writes a song into one track folder of exactly Slakh's shape.

Every stem is brought to the same level (RMS over the 0.1 s cells in which it sounds), one common
gain per track then keeps the sum from clipping, and the mix is the sum of the 16-bit stems, sample
by sample.
"""

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float, Int16

from data_pipeline.io.audio import write_audio
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.io.pcm import to_pcm16
from data_pipeline.minislakh import programs
from data_pipeline.minislakh.renderer import Voice

RENDERER = "minislakh"  # in metadata.yaml it tells the index that bass labels are as they sound
STEM_LEVEL_DB, PEAK_DB = -26.0, -1.0
SILENCE_DB = -70.0  # Slakh's word for the loudness of silence


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
    folder: Path,
    parts: list[Part],
    voices: list[Voice],
    info: TrackInfo,
    *,
    seconds: float,
    sample_rate_hz: int,
) -> None:
    """Render the parts into `folder`, which appears only when it is whole."""
    rate = sample_rate_hz
    num_samples = max(round(seconds * rate), 1)
    sounds = [voice.play(part, num_samples) for part, voice in zip(parts, voices, strict=True)]
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
        metadata = _metadata(info, identifiers, parts, voices, gain, levels)
        (partial / "metadata.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another process may just have made the same track
            partial.rename(folder)
        if not folder.is_dir():
            raise OSError(f"{folder}: the rendered track could not be moved there")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _metadata(info: TrackInfo, identifiers, parts, voices, gain: float | int, levels) -> dict:
    """The keys of Slakh's metadata.yaml, and `renderer`."""
    stems = {}
    for name, part, voice, level in zip(identifiers, parts, voices, levels, strict=True):
        inst_class, program_name = programs.names(part.program, part.is_drum)
        stems[name] = {
            "audio_rendered": True,
            "inst_class": inst_class,
            "integrated_loudness": level,
            "is_drum": part.is_drum,
            "midi_program_name": program_name,
            "midi_saved": True,
            "plugin_name": os.path.basename(voice.name),
            "program_num": 128 if part.is_drum else part.program,
        } | ({} if voice.effects is None else {"effects": voice.effects})
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
