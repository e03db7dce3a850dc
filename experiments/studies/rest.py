"""What the stem `rest` holds of sounds that training never heard, sound by sound.

    python -m experiments.studies.rest --networks=wide --soundfont=FILE.sf2

Songs of the wide composer, in which others play beside the five instruments, are rendered dry by
one soundfont: the five with the programs of `test_unseen`, the others as a flute, an organ, a choir
or a voice. No wide song for training has these programs, nor any sound of Debian's
csound-soundfont; the voice may be in songs of validation, in other soundfonts. Scored is `rest`,
and the mean of the other stems in the same songs.
"""

import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cerberus_jax.inference import Predictor
from data_pipeline import minislakh
from data_pipeline.instruments import REST
from data_pipeline.io.files import check_writable, whole_file
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.minislakh.dice import song_seed
from data_pipeline.minislakh.wide.composer import compose_wide, instrument_of_part
from data_pipeline.minislakh.wide.palettes import UNSEEN
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from experiments.config.command_line import CommandFlags, run_command
from experiments.evaluation.markdown import markdown_table
from experiments.studies.tracks import POOLED, Song, load_networks, score_network, songs_of

SOUNDS = {"flute": 73, "organ": 19, "choir": 52, "voice": 53}
SONG_SECONDS = 20.0
HEADINGS = ("network", "sound", "songs", "rest: SI-SDR improvement, dB", "the others")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.rest --networks=NETWORK[,NETWORK] --soundfont=FILE.sf2 "
        "[--songs=12] [--out=FILE.json]",
        "Score the stem 'rest' of networks on flutes, organs, choirs and voices.",
    )
    flags.string(
        "networks",
        "",
        "Directories of runs, files of experiments.export or names of networks of the package, "
        "separated by commas; all with the same instruments.",
    )
    flags.path("soundfont", "", "What plays the songs.")
    flags.integer("songs", 12, "Songs of each sound.", lowest=1)
    flags.path("out", "", "JSON file that gets all scores of all songs.")
    return run_command(_rest, flags, argv=argv)


def composed_parts(number: int, program: int) -> list[Part]:
    """The parts of the first song from the seed `number` thousand on in which a rest and others
    play: the five with the programs of test_unseen, the rest with this one."""
    programs = {name: next(iter(of_class)) for name, of_class in UNSEEN.programs.items()}
    programs[REST] = program
    seeds = (song_seed(0, REST, k) for k in itertools.count(1000 * number))
    songs = (compose_wide(seed, seconds=SONG_SECONDS, rest=1.0).parts for seed in seeds)
    parts = next(parts for parts in songs if _has_rest_and_others(parts))
    return [replace(part, program=programs[instrument_of_part(part)]) for part in parts]


def _has_rest_and_others(parts: list[Part]) -> bool:
    classes = {instrument_of_part(part) for part in parts}
    return REST in classes and len(classes) > 1


def songs_with(
    program: int, instruments: tuple[str, ...], *, soundfont: str, count: int, rate_hz: int
) -> Iterator[Song]:
    """Rendered songs whose rest plays this program, with the sources of these instruments."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "midi").mkdir()
        for number in range(count):
            parts = composed_parts(number, program)
            write_midi(folder / "midi" / f"{number:03d}.mid", parts)
        tree = minislakh.build(
            folder / "tree",
            midi_dir=folder / "midi",
            soundfonts=(soundfont,),
            sample_rate_hz=rate_hz,
            progress=False,
        )
        prepare("minislakh", tree, out=folder / "prepared", sample_rate_hz=rate_hz, progress=False)
        yield from songs_of(Catalogue.load(folder / "prepared"), instruments)


def improvements(predictor: Predictor, song: Song) -> tuple[float | None, float | None]:
    """SI-SDR improvement of the rest and the mean of the others, in dB; None where none sounds."""
    scores, _ = score_network(predictor, song)
    values = {name: own["si_sdr_improvement"] for name, own in scores.items() if name != POOLED}
    rest = values.pop(REST, None)
    others = [value for value in values.values() if value is not None]
    return rest, float(np.mean(others)) if others else None


def _rest(flags: CommandFlags) -> None:
    for name, example in (("networks", "wide"), ("soundfont", "FILE.sf2")):
        if not flags[name].value:
            raise ValueError(f"--{name} is missing, e.g. --{name}={example}")
    if flags.out:
        check_writable(Path(flags.out).parent)
    networks = load_networks(flags.networks)
    first = next(iter(networks.values()))
    if REST not in first.instruments:
        raise ValueError(
            f"--networks={flags.networks}: networks with the instrument {REST} expected, got some "
            f"of {', '.join(first.instruments)}"
        )
    figures = {name: {sound: [] for sound in SOUNDS} for name in networks}
    for sound, program in SOUNDS.items():
        songs = songs_with(
            program,
            first.instruments,
            soundfont=flags.soundfont,
            count=flags.songs,
            rate_hz=first.grid.sample_rate_hz,
        )
        for song in songs:
            for name, predictor in networks.items():
                figures[name][sound].append(improvements(predictor, song))
    rows = [
        (name, sound, len(songs), *map(_shown_mean, zip(*songs, strict=True)))
        for name, sounds in figures.items()
        for sound, songs in sounds.items()
    ]
    print(markdown_table(HEADINGS, rows))
    if flags.out:
        with whole_file(flags.out) as part:
            part.write_text(json.dumps(figures, indent=1) + "\n")


def _shown_mean(values: tuple[float | None, ...]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.1f}" if known else ""


if __name__ == "__main__":
    sys.exit(main())
