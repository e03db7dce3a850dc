"""Compose and render MiniSlakh, or render a folder of MIDI files, into a tree of Slakh's shape.

    python -m data_pipeline.minislakh --out=DIR --num_songs=480
    python -m data_pipeline.minislakh --out=DIR --midi_dir=MY_SONGS --soundfont=ANOTHER.sf2

Then prepare it for training:

    python -m data_pipeline.prepare --corpus=minislakh --root=DIR --out=PREPARED
"""

import sys

from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.minislakh.jobs import SPLITS
from data_pipeline.minislakh.tree import SOUNDS, build


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return run_command(
        _build,
        _flags(),
        argv=argv,
        on_interrupt="Stopped. The same command continues where it was.",
    )


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m data_pipeline.minislakh --out=DIR [--midi_dir=DIR] [--soundfont=FILE.sf2]",
        "Compose and render MiniSlakh, or render a folder of MIDI files, into a tree of Slakh's\n"
        "shape, which data_pipeline.prepare --corpus=minislakh takes.",
    )
    flags.path("out", "", "Folder for the tree; tracks already in it are kept.")
    flags.integer(
        "num_songs",
        480,
        "Training songs. Validation, test and test_unseen (sounds never heard in training) get a "
        "twentieth of that each, at least two.",
    )
    flags.integer("seed", 0, "The same seed gives the same songs.")
    flags.number("song_seconds", 20.0, "Length of every song in seconds.")
    flags.paths(
        "soundfont",
        "A General MIDI soundfont (.sf2, .sf3). Repeat the flag to give several: each stem then "
        "draws one. Without it: TimGM6mb, which comes with pretty_midi; auto: that and those that "
        "are installed.",
    )
    flags.path(
        "midi_dir",
        "",
        "Render the MIDI files below this folder instead of composing (or, with --midi_share, "
        "passages of them beside composed songs); every part becomes a stem. "
        "Eight of ten files go to train, one to validation and one to test, by a hash of their "
        "content; copies are left out.",
    )
    flags.choice(
        "sounds",
        "narrow",
        SOUNDS,
        "Of composed songs: narrow (few programs, no effects) or wide (programs of whole classes, "
        "effects, arrangements of many kinds).",
    )
    flags.number("rest", 0.0, "Probability that a wide song has instruments beside the five.")
    flags.number("midi_share", 0.0, "Share of wide songs that are passages of --midi_dir.")
    flags.integer("sample_rate_hz", 16000, "Sample rate of the audio; 44100 is Slakh's own.")
    flags.integer("num_workers", 2, "Processes; 0 means one for each core.")
    return flags


def _build(flags: CommandFlags) -> None:
    if not flags.out:
        raise ValueError("--out=DIR is needed, see --help")
    out = build(
        flags.out,
        num_songs=flags.num_songs,
        seed=flags.seed,
        song_seconds=flags.song_seconds,
        soundfonts=tuple(flags.soundfont),
        num_workers=flags.num_workers,
        midi_dir=flags.midi_dir,
        sounds=flags.sounds,
        rest=flags.rest,
        midi_share=flags.midi_share,
        sample_rate_hz=flags.sample_rate_hz,
    )
    counts = {split: len(list((out / split).glob("Track*"))) for split in SPLITS}
    print(f"{out}: " + ", ".join(f"{count} {split}" for split, count in counts.items() if count))


if __name__ == "__main__":
    sys.exit(main())
