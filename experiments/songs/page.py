"""The page of one song: listen to the song, its stems and its notes; see spectrograms and rolls.

One HTML file with everything but the sound, which browsers read from the files beside it: a page
opened from disk may play files but not fetch them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Float

from cerberus_jax.notes import Notes
from data_pipeline.io.audio_stream import AudioInfo, AudioWriter, quantise
from data_pipeline.io.midi import Part
from experiments import pages
from experiments.pages import listening
from experiments.songs import sound
from experiments.songs.spectrogram import Spectrogram
from experiments.songs.stems import OTHER

PAGE_FILE = "index.html"
SOUNDS = "page"  # the folder of the sounds that only the page needs
MIXTURE = f"{SOUNDS}/mixture.flac"
# A network that does not transcribe has no notes to show, hear or download.
WITHOUT_NOTES = "header nav, .row .count, .legend .of-notes { display: none; }"
SETS = (
    ("song", "Song", "The song as it was"),
    ("stems", "Stems", "The separated stems"),
    ("notes", "Notes", "The transcription, played by a synthesizer"),
)
WITHOUT_SOUND = f"no sound of the notes: it needs a synthesiser ({sound.INSTALL})"
SILENCE_DB = -40.0  # of a spectrogram: less than this is shown dark, and silence black


def describe(info: AudioInfo) -> list[str]:
    """Length, channels and rate of a song for readers."""
    minutes, seconds = divmod(round(info.seconds, 1), 60)
    count = info.num_channels
    channels = {1: "mono", 2: "stereo"}.get(count, f"{count} channels")
    return [f"{minutes:.0f}:{seconds:04.1f}", channels, f"{info.sample_rate_hz / 1000:g} kHz"]


def _copy_of_song(path, info):
    """A writer of 16 bits; of a wav where FLAC does not go up to the rate."""
    size = {
        "sample_rate_hz": info.sample_rate_hz,
        "num_channels": info.num_channels if info.num_channels <= 2 else 1,
    }
    try:
        return AudioWriter(path, **size)
    except ValueError:
        path.unlink()
        return AudioWriter(path.with_suffix(".wav"), **size)


class SongPage:
    """Collects what the page shows while the song is being separated.

    Args:
        folder: the song's; the page goes into it.
        info: the song.
        files: name of every stem's file in `folder`, in order.
    """

    def __init__(self, folder: Path, info: AudioInfo, files: Mapping[str, str]):
        self._folder, self._info, self._files = folder, info, dict(files)
        (folder / SOUNDS).mkdir()
        self._mixture = _copy_of_song(folder / MIXTURE, info)
        size = (info.sample_rate_hz, info.num_samples)
        self._pictures = {name: Spectrogram(*size) for name in ("", *files)}
        self._energy = dict.fromkeys(files, 0.0)

    @property
    def mixture(self) -> str:
        """The name of the song's copy in the song's folder."""
        return self._mixture.path.relative_to(self._folder).as_posix()

    @property
    def num_clipped(self) -> int:
        """How many samples of the song exceed full scale, which its copy for the page cannot."""
        return self._mixture.num_clipped

    def __enter__(self) -> "SongPage":
        return self

    def __exit__(self, *error):
        self._mixture.close(check=error[0] is None)

    def add(
        self, mixture: Float[np.ndarray, "c n"], stems: Mapping[str, Float[np.ndarray, "c n"]]
    ) -> None:
        """The next samples."""
        heard = mixture if len(mixture) <= 2 else mixture.mean(0, keepdims=True)
        self._mixture.write(quantise(heard, "PCM_16"))
        self._pictures[""].add(mixture.mean(0))
        for name, samples in stems.items():
            mono = samples.mean(0)
            self._pictures[name].add(mono)
            self._energy[name] += float(np.square(mono, dtype=np.float64).sum())

    def finish(
        self, title: str, parts: Sequence[Part], *, reference: Mapping[str, Notes] | None = None
    ) -> None:
        """Plays the notes, where the project's synthesiser is installed, and writes the page.

        Args:
            title: the song's.
            parts: the transcribed notes; none of a network that does not transcribe.
            reference: the true notes of an instrument, where they are known.
        """
        reference = reference or {}
        parts = {part.name: part for part in parts}
        plays = sound.can_play()
        powers = {name: self._play(part) for name, part in parts.items() if plays}
        volumes = self._volumes(powers)
        decibels = {name: picture.decibels() for name, picture in self._pictures.items()}
        top = max(SILENCE_DB, *(float(picture.max()) for picture in decibels.values()))
        pictures = {
            name: listening.picture_uri(picture, top_db=top) for name, picture in decibels.items()
        }
        rows = [{"name": None, "sets": {"song": {"src": self.mixture}}}]
        rows += [self._row(name, parts.get(name), volumes, reference) for name in self._files]
        for row in rows:
            row["picture"] = pictures[row["name"] or ""]
        data = {
            "seconds": self._info.seconds,
            "frequencies": self._pictures[""].frequencies,
            "sets": [
                {"key": key, "title": title, "hint": hint}
                for key, title, hint in SETS
                if parts or key != "notes"
            ],
            "rows": rows,
        }
        facts, style = describe(self._info), listening.style("song.css")
        if parts:
            facts.append(f"{sum(len(part.notes) for part in parts.values())} notes")
            if not plays:
                facts.append(WITHOUT_SOUND)
        else:
            style += WITHOUT_NOTES
        text = pages.fill(
            "song.html",
            {
                "title": pages.escape(title),
                "facts": pages.escape(" · ".join(facts)),
                "style": style,
                "listening": pages.asset("listening.html"),
                "data": listening.player_html(data),
                "legend": listening.legend_html(truth=bool(reference)),
                "script": listening.script(),
            },
        )
        (self._folder / PAGE_FILE).write_text(text, encoding="utf-8")

    def _row(
        self,
        name: str,
        part: Part | None,
        volumes: Mapping[str, float],
        reference: Mapping[str, Notes],
    ) -> dict:
        """The row of a stem for the page."""
        file, about = self._files[name], "what is left" if name == OTHER else "not transcribed"
        sets = {"stems": {"src": quote(file)}}
        row = listening.row_heading(name) | {"file": {"name": file, "href": quote(file)}}
        if part:
            about = f"{len(part.notes)} notes"
            row |= {"isDrum": part.is_drum, "notes": listening.note_rows(part.notes)}
        if name in reference:
            about += f", {len(reference[name])} true"
            row["reference"] = listening.note_rows(reference[name])
        if name in volumes:
            volume = volumes[name]
            sets["notes"] = {"src": f"{SOUNDS}/{quote(name)}.flac", "volume": volume}
        return row | {"about": about, "sets": sets}

    def _play(self, part: Part) -> float:
        """Writes the sound of a part's notes; returns its mean power."""
        path = self._folder / SOUNDS / f"{part.name}.flac"
        return sound.play(part, path, seconds=self._info.seconds)

    def _volumes(self, powers: Mapping[str, float]) -> dict[str, float]:
        """How loud to play the notes for the balance of the stems, the loudest at 1."""
        ratios = {
            name: np.sqrt(self._energy[name] / self._info.num_samples / max(power, 1e-12))
            for name, power in powers.items()
            if power > 0
        }
        loudest = max(ratios.values(), default=1.0) or 1.0
        return {
            name: round(float(np.clip(ratios.get(name, loudest) / loudest, 0.05, 1)), 3)
            for name in powers
        }
