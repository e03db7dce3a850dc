"""Whole songs by networks and by basic-pitch: what a musician gets of each.

    python -m experiments.studies.tracks --root=RAW --networks=runs/demo,runs/cerberus_demo \
        [--corpus=slakh2100] [--basic_pitch=COMMAND] [--out=FILE.json]

RAW is a corpus as `data_pipeline.prepare` takes it: the sample data, Slakh itself, what
data_pipeline.minislakh renders (a tree of Slakh's shape). All its songs are scored, of whatever
split. The stems of an instrument are summed, the mixture is their sum with its peak at .5. Stems of
which the networks have no slot are left out. Separation is scored of what sounds beside others,
notes of what sounds and has notes, all of which are known. `95 %` is the bootstrap interval of a
mean: songs are drawn, each with all its stems; of few songs it is rough.

basic-pitch finds notes and does not say who plays them. So it is compared by all pitched notes
pooled, of the mixture; and by the notes that it finds in each stem, the first network's and the
true ones (basic_pitch.py says how to install it).
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cerberus_jax import pretrained
from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from data_pipeline.corpora.registry import CORPORA, DEFAULT_CORPUS
from data_pipeline.instruments import INSTRUMENTS, takes
from data_pipeline.io.files import check_writable, whole_file
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from experiments.config.command_line import CommandFlags, run_command
from experiments.evaluation.bootstrap import mean_intervals
from experiments.evaluation.note_scores import ONSET_TOLERANCE_SECONDS, score_notes
from experiments.evaluation.scoring import (
    SEPARATION_METRICS,
    Estimate,
    Reference,
    of_transcribed,
    score_item,
)
from experiments.evaluation.whole_songs import sum_of_stems
from experiments.studies.basic_pitch import basic_pitch_notes

PEAK = 0.5
SHOWN = ("si_sdr_improvement", "onset_f1", "frame_f1", "onset_offset_f1")
POOLED = "pooled"  # the notes of all pitched instruments of a song


class Song(NamedTuple):
    """A song, and the instruments that sound in it; notes are of those that have some."""

    name: str
    reference: Reference
    sounding: tuple[str, ...]

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


def load_networks(names: str) -> dict[str, Predictor]:
    """Those of runs' directories, files or the package, as `--networks` gives them.

    Raises:
        FileNotFoundError: if there is no such file, or no checkpoint.
        ValueError: if a name is of none, or they have other instruments or another sampling rate.
    """
    networks = {name: load_network(name) for name in map(str.strip, names.split(","))}
    (first_name, first), *others = networks.items()
    for name, other in others:
        has = [(p.instruments, p.grid.sample_rate_hz) for p in (first, other)]
        if has[0] != has[1]:
            raise ValueError(
                f"--networks: {name} has other instruments or another rate than {first_name}; "
                "score them one by one"
            )
    return networks


def load_network(name: str) -> Predictor:
    """The network of a run's directory, a file, or the package."""
    path = pretrained.network_source(name, flag="--networks")
    return Predictor.load(path) if path.is_dir() else Predictor.pretrained(str(path))


def songs_of(catalogue: Catalogue, instruments: Sequence[str]) -> Iterator[Song]:
    """All songs of prepared data in which any of the instruments sounds."""
    t = catalogue.tables
    ids = [str(name) for name in t.track_ids]
    for track, name in enumerate(ids):
        sources = np.zeros((len(instruments), int(t.track_num_samples[track])), np.float32)
        notes, of_track = {}, np.flatnonzero(t.stem_tracks == track).tolist()
        for slot, instrument in enumerate(instruments):
            stems = [k for k in of_track if takes(instrument, t.stem_instruments[k], instruments)]
            sources[slot], own, are_known = sum_of_stems(catalogue, stems, sources.shape[1])
            if np.any(sources[slot]) and len(own) and are_known:
                notes[instrument] = own
        sounding = np.abs(sources).max(1) > 0
        if sounding.any():
            sources *= PEAK / np.abs(sources.sum(0)).max()
            names = tuple(np.array(instruments)[sounding].tolist())
            if ids.count(name) > 1:
                name = f"{t.track_splits[track]}/{name}"
            yield Song(name, Reference(sources, of_transcribed(notes)), names)


def pooled(notes: Mapping[str, Notes]) -> Notes:
    """Those of all pitched instruments; a key that two strike together is one note."""
    pitched = [own for name, own in notes.items() if not INSTRUMENTS[name].is_drum]
    return Notes.joined(pitched).without_unisons(ONSET_TOLERANCE_SECONDS)


def score_network(
    predictor: Predictor, song: Song
) -> tuple[dict[str, dict], dict[str, Float[np.ndarray, " n"]]]:
    """Scores of each instrument that sounds and of the pooled notes of those that have some; and
    the stems, if the network gives any."""
    grid, instruments = predictor.grid, predictor.instruments
    found = predictor.predict(song.mixture, grid.sample_rate_hz)
    stems = None if found.sources is None else found.sources[:, 0]
    scores = score_item(
        Estimate(stems, found.notes), song.reference, instruments=instruments, grid=grid
    )
    of_song = {name: scores[name] for name in song.sounding}
    if len(song.sounding) == 1:
        of_song[song.sounding[0]] |= dict.fromkeys(SEPARATION_METRICS)
    if found.notes is not None:
        notes = {name: found.notes[name] for name in song.reference.notes}
        of_song |= _pooled_scores(pooled(notes), song, grid)
    return of_song, {} if stems is None else dict(zip(instruments, stems, strict=True))


def score_basic_pitch(
    command: str | Path,
    song: Song,
    stems: Mapping[str, Mapping[str, Float[np.ndarray, " n"]]],
    grid: FrameGrid,
) -> dict[str, dict[str, dict]]:
    """Scores of basic-pitch on the mixture, pooled, and on stems of the pitched instruments.

    Args:
        command: basic-pitch.
        song: the song.
        stems: of each instrument, by what they are called together.
        grid: of frames.
    """
    rate, num_samples = grid.sample_rate_hz, song.mixture.size
    found = {"mixture": _pooled_scores(basic_pitch_notes(command, song.mixture, rate), song, grid)}
    for title, sources in stems.items():
        found[title] = {
            name: score_notes(
                basic_pitch_notes(command, sources[name], rate),
                notes,
                grid=grid,
                num_samples=num_samples,
            )
            for name, notes in song.reference.notes.items()
            if name in sources and not INSTRUMENTS[name].is_drum
        }
    return found


def _pooled_scores(notes: Notes, song: Song, grid: FrameGrid) -> dict[str, dict]:
    """By POOLED; nothing where no pitched instrument has notes."""
    reference = pooled(song.reference.notes)
    if not len(reference):
        return {}
    return {POOLED: score_notes(notes, reference, grid=grid, num_samples=song.mixture.size)}


def table(title: str, songs: Mapping[str, Mapping[str, dict]]) -> str:
    """Means over songs of each instrument, then over all pairs of a song and an instrument, each
    with its bootstrap interval where there are two songs or more.

    Args:
        title: of what.
        songs: scores by song and instrument, or POOLED.
    """
    names = dict.fromkeys(name for scores in songs.values() for name in scores)
    rows = {
        name: [(song, own[name]) for song, own in songs.items() if name in own] for name in names
    }
    of_pooled = rows.pop(POOLED, [])
    if rows:
        rows["mean of all"] = [scores for row in rows.values() for scores in row]
    if of_pooled:
        rows["all pitched notes pooled"] = of_pooled
    lines = [title, f"{'':<26}{'scored':>8}" + "".join(f"{name:>20}" for name in SHOWN)]
    for name, row in rows.items():
        means, intervals = _means(row)
        lines.append(f"  {name:<24}{len(row):>8}" + "".join(f"{text:>20}" for text in means))
        if any(intervals):
            lines.append(f"    {'95 %':<30}" + "".join(f"{text:>20}" for text in intervals))
    return "\n".join(lines)


def _means(row: Sequence[tuple[str, dict]]) -> tuple[list[str], list[str]]:
    """Of pairs of a song and scores, by what is shown; empty where nothing is known."""
    songs = [song for song, _ in row]
    values = np.array([[scores.get(name) for name in SHOWN] for _, scores in row], np.float64)
    known = np.isfinite(values).any(0)
    _, (low, high) = mean_intervals(values[:, None], songs)
    means = np.nanmean(np.where(known, values, 0.0), 0)
    return (
        [f"{mean:.2f}" if is_known else "" for mean, is_known in zip(means, known, strict=True)],
        [f"[{a:.2f}, {b:.2f}]" if np.isfinite(a) else "" for a, b in zip(low, high, strict=True)],
    )


def _tracks(flags: CommandFlags) -> None:
    for name, example in (("root", "../shared/samples/slakh_16k_120s"), ("networks", "runs/demo")):
        if not flags[name].value:
            raise ValueError(f"--{name} is missing, e.g. --{name}={example}")
    if flags.out:
        check_writable(Path(flags.out).parent)
    networks, figures = load_networks(flags.networks), {}
    with tempfile.TemporaryDirectory() as folder:
        first, rate = next((p, p.grid.sample_rate_hz) for p in networks.values())
        prepare(flags.corpus, flags.root, out=folder, sample_rate_hz=rate, progress=False)
        for song in songs_of(Catalogue.load(folder), first.instruments):
            for title, scores in _scores_of(song, networks, flags.basic_pitch):
                figures.setdefault(title, {})[song.name] = scores
    if not figures:
        raise ValueError(
            f"--root={flags.root}: songs with {', '.join(first.instruments)} expected, got none"
        )
    print("\n\n".join(table(name, songs) for name, songs in figures.items()))
    if flags.out:
        with whole_file(flags.out) as part:
            part.write_text(json.dumps(figures, indent=1) + "\n")


def _scores_of(
    song: Song, networks: Mapping[str, Predictor], command: str
) -> Iterator[tuple[str, dict[str, dict]]]:
    """Titles and scores of a song."""
    stems = {}
    for name, predictor in networks.items():
        scores, stems[name] = score_network(predictor, song)
        yield name, scores
    if command:
        first, predictor = next(iter(networks.items()))
        sources = dict(zip(predictor.instruments, song.reference.sources, strict=True))
        heard = {f"stems of {first}": stems[first], "true stems": sources}
        for title, scores in score_basic_pitch(command, song, heard, predictor.grid).items():
            yield f"basic-pitch, {title}", scores


if __name__ == "__main__":
    sys.exit(main())
