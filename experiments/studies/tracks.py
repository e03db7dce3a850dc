"""Whole songs by networks and by basic-pitch: what a musician gets of each.

    python -m experiments.studies.tracks --root=RAW --networks=runs/demo,runs/cerberus_demo \
        [--corpus=slakh2100] [--basic_pitch=COMMAND] [--out=FILE.json]

RAW is a corpus as `data_pipeline.prepare` takes it: the sample data, Slakh itself, what
data_pipeline.minislakh renders (a tree of Slakh's shape). All its songs are scored, of whatever
split. The stems of a class are summed, the mixture is their sum with its peak at .5; what has no
sound or no notes in a song is not scored there, nor is the separation of what plays alone.

basic-pitch finds notes and does not say who plays them. So it is compared by all pitched notes
pooled, of the mixture; and by the notes that it finds in each stem, the first network's and the
true ones. It needs other versions of packages than this project, and is called as a command:

    python -m venv bp && bp/bin/pip install basic-pitch==0.4.0
    --basic_pitch=bp/bin/basic-pitch
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from data_pipeline.corpora.registry import CORPORA, DEFAULT_CORPUS
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.io.midi import read_notes
from data_pipeline.io.pcm import PCM_SCALE
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from experiments.config.command_line import CommandFlags, run_command
from experiments.evaluation.note_scores import score_notes
from experiments.evaluation.scoring import (
    SEPARATION_METRICS,
    Estimate,
    Reference,
    score_item,
)

PEAK = 0.5
SHOWN = ("si_sdr_improvement", "onset_f1", "frame_f1", "onset_offset_f1")
POOLED = "pooled"  # the notes of all pitched instruments of a song


class Song(NamedTuple):
    """A song, and the instruments that play in it."""

    name: str
    reference: Reference
    playing: tuple[str, ...]

    @property
    def mixture(self) -> Float[np.ndarray, " n"]:
        """The sum of the sources."""
        return self.reference.sources.sum(0)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_tracks, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.studies.tracks --root=DIR --networks=NETWORK[,NETWORK] "
        "[--corpus=CORPUS] [--basic_pitch=COMMAND] [--out=FILE.json]",
        "Score networks on whole songs, and basic-pitch beside them.",
    )
    flags.path("root", "", "The raw files of a corpus.")
    flags.choice("corpus", DEFAULT_CORPUS, list(CORPORA), f"Which: {', '.join(CORPORA)}.")
    flags.string(
        "networks",
        "",
        "Directories of runs, files of experiments.export or names of networks of the package, "
        "separated by commas; all with the same instruments.",
    )
    flags.path("basic_pitch", "", "The command of basic-pitch; left out without one.")
    flags.path("out", "", "JSON file that gets all scores of all songs.")
    return flags


def load_network(name: str) -> Predictor:
    """The network of a run's directory, a file, or the package."""
    return Predictor.load(name) if Path(name).is_dir() else Predictor.pretrained(name)


def songs_of(catalogue: Catalogue, instruments: Sequence[str]) -> Iterator[Song]:
    """All songs of prepared data in which any of the instruments plays."""
    t, samples = catalogue.tables, catalogue.pcm()
    for track, name in enumerate(t.track_ids):
        sources = np.zeros((len(instruments), int(t.track_num_samples[track])), np.float32)
        notes = {}
        for slot, instrument in enumerate(instruments):
            stems = (t.stem_tracks == track) & (t.stem_instruments == instrument)
            for stem in np.flatnonzero(stems).tolist():
                start = int(t.stem_pcm_start[stem])
                end = start + sources.shape[1]
                sources[slot] += samples[t.track_corpora[track]][start:end] / PCM_SCALE
            own = [catalogue.notes(stem) for stem in np.flatnonzero(stems).tolist()]
            notes[instrument] = Notes.joined(own)
        heard = np.abs(sources).max(1) > 0
        playing = tuple(
            name
            for name, sounds in zip(instruments, heard, strict=True)
            if sounds and len(notes[name])
        )
        if playing:
            sources *= PEAK / np.abs(sources.sum(0)).max()
            yield Song(str(name), Reference(sources, {n: notes[n] for n in playing}), playing)


def pooled(notes: Mapping[str, Notes]) -> Notes:
    """Those of all pitched instruments."""
    return Notes.joined([own for name, own in notes.items() if not INSTRUMENTS[name].is_drum])


def score_network(predictor: Predictor, song: Song) -> tuple[dict[str, dict], np.ndarray]:
    """Scores of each instrument that plays, and of their notes pooled; and the stems [s n]."""
    grid, num_samples = predictor.grid, song.mixture.size
    found = predictor.predict(song.mixture, grid.sample_rate_hz)
    stems = found.sources[:, 0]
    scores = score_item(
        Estimate(stems, found.notes), song.reference, instruments=predictor.instruments, grid=grid
    )
    of_song = {name: scores[name] for name in song.playing}
    if len(song.playing) == 1:
        of_song[song.playing[0]] |= dict.fromkeys(SEPARATION_METRICS)
    of_song[POOLED] = score_notes(
        pooled(found.notes), pooled(song.reference.notes), grid=grid, num_samples=num_samples
    )
    return of_song, stems


def basic_pitch_notes(command: str | Path, waveform: Float[np.ndarray, " n"], rate: int) -> Notes:
    """What basic-pitch finds in a waveform, by its defaults.

    Raises:
        ValueError: if it cannot be started or finds no file to write; says what it printed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "song.wav", waveform, rate, subtype="FLOAT")
        call = [str(command), "--save-midi", str(folder), str(folder / "song.wav")]
        try:
            done = subprocess.run(call, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ValueError(
                f"--basic_pitch={command}: {error.strerror}; pip install basic-pitch==0.4.0 into "
                "an environment of its own, and give its bin/basic-pitch"
            ) from None
        file = folder / "song_basic_pitch.mid"
        if not file.exists():
            said = " ".join((done.stderr or done.stdout).split())[-200:]
            raise ValueError(f"--basic_pitch={command}: wrote no notes; it said: {said}")
        return read_notes(file)


def score_basic_pitch(
    command: str | Path, song: Song, stems: Mapping[str, Mapping[str, np.ndarray]], grid: FrameGrid
) -> dict[str, dict[str, dict]]:
    """Scores of basic-pitch on the mixture, pooled, and on stems of the pitched instruments.

    Args:
        command: basic-pitch.
        song: the song.
        stems: of each instrument, by what they are called together.
        grid: of frames.
    """
    rate, num_samples = grid.sample_rate_hz, song.mixture.size
    common = {"grid": grid, "num_samples": num_samples}
    of_mixture = basic_pitch_notes(command, song.mixture, rate)
    found = {"mixture": {POOLED: score_notes(of_mixture, pooled(song.reference.notes), **common)}}
    for title, sources in stems.items():
        found[title] = {
            name: score_notes(
                basic_pitch_notes(command, source, rate), song.reference.notes[name], **common
            )
            for name, source in sources.items()
            if name in song.playing and not INSTRUMENTS[name].is_drum
        }
    return found


def table(title: str, songs: Mapping[str, Mapping[str, dict]]) -> str:
    """Means over songs of each instrument, then over all pairs of a song and an instrument.

    Args:
        title: of what.
        songs: scores by song and instrument, or POOLED.
    """
    names = dict.fromkeys(name for scores in songs.values() for name in scores)
    rows = {name: [own[name] for own in songs.values() if name in own] for name in names}
    of_pooled = rows.pop(POOLED, [])
    if rows:
        rows["mean of all"] = [scores for row in rows.values() for scores in row]
    if of_pooled:
        rows["all pitched notes pooled"] = of_pooled
    lines = [title, f"{'':<26}{'scored':>8}" + "".join(f"{name:>20}" for name in SHOWN)]
    for name, row in rows.items():
        cells = [_mean([scores.get(metric) for scores in row]) for metric in SHOWN]
        shown = ["" if value is None else f"{value:.2f}" for value in cells]
        lines.append(f"  {name:<24}{len(row):>8}" + "".join(f"{text:>20}" for text in shown))
    return "\n".join(lines)


def _mean(values) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _tracks(flags: CommandFlags) -> None:
    for name, example in (("root", "../shared/samples/slakh_16k_120s"), ("networks", "runs/demo")):
        if not flags[name].value:
            raise ValueError(f"--{name} is missing, e.g. --{name}={example}")
    networks = {name: load_network(name) for name in flags.networks.split(",")}
    (first_name, first), *others = networks.items()
    for name, other in others:
        if (other.instruments, other.grid.sample_rate_hz) != (
            first.instruments,
            first.grid.sample_rate_hz,
        ):
            raise ValueError(
                f"--networks: {name} has other instruments or another rate than {first_name}; "
                "score them one by one"
            )
    figures: dict[str, dict[str, dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        rate = first.grid.sample_rate_hz
        out = f"{folder}/prepared"
        prepare(flags.corpus, flags.root, out=out, sample_rate_hz=rate, progress=False)
        for song in songs_of(Catalogue.load(out), first.instruments):
            stems = {}
            for name, predictor in networks.items():
                scores, stems[name] = score_network(predictor, song)
                figures.setdefault(name, {})[song.name] = scores
            if not flags.basic_pitch:
                continue
            heard = {f"stems of {first_name}": stems[first_name]}
            heard["true stems"] = song.reference.sources
            named = {
                title: dict(zip(first.instruments, sources, strict=True))
                for title, sources in heard.items()
            }
            for title, scores in score_basic_pitch(
                flags.basic_pitch, song, named, first.grid
            ).items():
                figures.setdefault(f"basic-pitch, {title}", {})[song.name] = scores
    print("\n\n".join(table(name, songs) for name, songs in figures.items()))
    if flags.out:
        Path(flags.out).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
