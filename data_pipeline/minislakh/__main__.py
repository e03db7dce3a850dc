"""Compose and render MiniSlakh, or render a folder of MIDI files, into a tree of Slakh's shape.

    python -m data_pipeline.minislakh --out=DIR --num_songs=480
    python -m data_pipeline.minislakh --out=DIR --midi_dir=MY_SONGS --soundfont=ANOTHER.sf2

Then prepare it for training:

    python -m data_pipeline.prepare --corpus=minislakh --root=DIR --out=PREPARED
"""

import sys

from absl import app, flags

from data_pipeline.minislakh.tree import SPLITS, build

FLAGS = flags.FLAGS
flags.DEFINE_string("out", None, "Folder for the tree; tracks already in it are kept.")
flags.DEFINE_integer(
    "num_songs",
    480,
    "Training songs. Validation, test and test_unseen (sounds never heard in training) get a "
    "twentieth of that each, at least two.",
)
flags.DEFINE_integer("seed", 0, "The same seed gives the same songs.")
flags.DEFINE_float("song_seconds", 20.0, "Length of every song in seconds.")
flags.DEFINE_multi_string(
    "soundfont",
    [],
    "A General MIDI soundfont (.sf2, .sf3). Repeat the flag to give several: each stem then draws "
    "one. Default: TimGM6mb, which comes with pretty_midi.",
)
flags.DEFINE_string(
    "midi_dir",
    "",
    "Render the MIDI files below this folder instead of composing; every part becomes a stem. "
    "Eight of ten files go to train, one to validation and one to test, by a hash of their names.",
)
flags.DEFINE_integer("sample_rate_hz", 16000, "Sample rate of the audio; 44100 is Slakh's own.")
flags.DEFINE_integer("num_workers", 2, "Processes; 0 means one for each core.")
flags.mark_flag_as_required("out")


def main(argv: list[str]) -> None:
    """Run the build and say what there is."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
    try:
        out = build(
            FLAGS.out,
            num_songs=FLAGS.num_songs,
            seed=FLAGS.seed,
            song_seconds=FLAGS.song_seconds,
            soundfonts=tuple(FLAGS.soundfont),
            num_workers=FLAGS.num_workers,
            midi_dir=FLAGS.midi_dir,
            sample_rate_hz=FLAGS.sample_rate_hz,
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("\nStopped. The same command continues where it was.", file=sys.stderr)
        sys.exit(130)
    counts = {split: len(list((out / split).glob("Track*"))) for split in SPLITS}
    print(f"{out}: " + ", ".join(f"{count} {split}" for split, count in counts.items() if count))


if __name__ == "__main__":
    app.run(main)
