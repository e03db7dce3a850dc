"""Songs taken apart by a trained network: a wav per instrument, one MIDI file, a table of notes.

One song may fail, the others go on; songs/files.py sees to it that neither a full disk nor Ctrl-C
leaves half a song.
"""

import errno
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cerberus_jax import pretrained
from cerberus_jax.heads import separates, transcribes
from cerberus_jax.inference import DB_REFERENCES, WINDOW_SECONDS, Predictor
from cerberus_jax.notes import Notes
from cerberus_jax.outside import quoted
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.io.audio_stream import SUBTYPES
from data_pipeline.io.files import check_writable
from data_pipeline.io.midi import MAX_BPM, MIN_BPM, read_midi
from experiments.config.command_line import CommandFlags, run_command
from experiments.runtime.compile_cache import keep_compiled
from experiments.runtime.freed_memory import return_large_blocks
from experiments.songs import sound
from experiments.songs.files import files_of, write_song
from experiments.songs.find import find_songs
from experiments.songs.folders import check_place, listed, output_folders
from experiments.songs.notes import MIDI_FILE, NOTES_FILE, by_instrument, who_plays
from experiments.songs.options import SongOptions
from experiments.songs.page import describe
from experiments.songs.progress import SongProgress
from experiments.songs.thresholds import EXAMPLE, with_thresholds
from experiments.songs.work_folder import sweep

# What ends the whole command: the next song would meet it too.
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)

OUT = "separated"
LOSSY_LINE = (
    "{format}: every file has the song's length to the sample, but stems no longer sum exactly to "
    "the song{players}; --format=flac keeps the sum"
)
# Encoder and decoder delay, 576 and 529 samples, which the LAME header in the file takes back.
MP3_PLAYERS = ", and players that ignore the header of an mp3 start it 1105 samples late"
INTERRUPTED = "Stopped. Songs already separated are whole."


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # it cleans up like Ctrl-C
    try:
        return run_command(_separate, _flags(), argv=argv, on_interrupt=INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def separate(
    songs: Sequence[str | Path],
    *,
    predictor: Predictor,
    out: str | Path,
    overwrite: bool = False,
    options: SongOptions | None = None,
    references: str | Path = "",
) -> list[Path]:
    """Separate and transcribe files and the audio files of folders.

    A song that cannot be read, or whose output exists already, is reported and skipped.

    Args:
        songs: audio files, or folders of them.
        predictor: the network.
        out: gets one folder per song, named like it.
        overwrite: replace the files of an earlier call.
        options: what is written, and how.
        references: a folder with SONG.mid for the songs whose true notes are known: the page shows
            them beside the network's.

    Returns:
        the folders written.

    Raises:
        FileNotFoundError: if a song or folder does not exist, before anything is done.
        NotADirectoryError: if `references` is no folder.
        OSError: if `out` cannot be written to, or its disk is full.
        ValueError: at the end, if songs failed; and before anything is done if the network lacks
            a head or an instrument that was asked for, if a folder has no audio files or two songs
            would share one output folder.
    """
    _check_network(predictor)
    options = options or SongOptions()
    options.check_instruments(predictor.instruments)
    folders = output_folders(find_songs(songs), Path(out))
    if references and not Path(references).is_dir():
        raise NotADirectoryError(f"--references={references}: no such folder of SONG.mid files")
    Path(out).mkdir(parents=True, exist_ok=True)
    check_writable(out)
    files, written, failed = files_of(predictor, options), [], []
    with SongProgress(folders) as progress:
        if left := sweep(Path(out)):
            progress.write(f"{out}: removed what stopped calls had left ({', '.join(left)})")
        for line in _remarks(predictor, options):
            progress.write(line)
        for number, (song, folder) in enumerate(folders.items(), 1):
            progress.write(f"[{number}/{len(folders)}] {song}")
            started = time.monotonic()
            try:
                if kept := check_place(folder, files, overwrite=overwrite, song=song):
                    progress.write(f"  {folder}: kept {listed(kept)}, not of this command")
                notes = _reference_notes(song, references, predictor.instruments, progress)
                with progress.song(song) as advance:
                    info = write_song(
                        song,
                        folder,
                        predictor=predictor,
                        options=options,
                        reference_notes=notes,
                        on_progress=advance,
                    )
            except (ValueError, OSError, MemoryError, RuntimeError) as error:
                if isinstance(error, OSError) and error.errno in _NO_PLACE:
                    raise
                progress.write(f"  failed: {_reason(error)}", file=sys.stderr)
                failed.append(str(song))
                continue
            written.append(folder)
            seconds = time.monotonic() - started
            progress.write(f"  {', '.join(describe(info))} -> {folder} ({seconds:.1f} s)")
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(folders)} songs failed (messages above): {', '.join(failed)}"
        )
    return written


def _remarks(predictor: Predictor, options: SongOptions) -> Iterator[str]:
    """What is to be known of all songs' files before the first is written."""
    if options.is_lossy:
        players = MP3_PLAYERS if options.format == "mp3" else ""
        yield LOSSY_LINE.format(format=options.format, players=players)
    if not transcribes(predictor.model.heads):
        yield (
            f"Stems without {MIDI_FILE} and {NOTES_FILE}: this network does not transcribe, it "
            "was trained with loss.transcription = 0"
        )
    elif options.page and not sound.can_play():
        yield f"Pages without the sound of the notes; to add it: {sound.INSTALL}"


def _reason(error: Exception) -> str:
    """What went wrong; JAX tells of a device without room in a RuntimeError."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "not enough memory; without --exact it does not grow with the song"
    return str(error) or type(error).__name__


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.separate [--workdir=DIR | --pretrained=NAME] [--out=DIR] SONG ...",
        "Take songs apart, files or those of folders, with a trained network. Each song gets a\n"
        "folder OUT/SONG with one file per instrument (rate, length and channels of the song),\n"
        f"{MIDI_FILE} (one track per instrument), {NOTES_FILE} and index.html, a page to\n"
        "listen and look. Reads wav, flac, ogg, mp3, aiff and more, at any rate and of any length.",
        takes_arguments=True,
    )
    flags.path("workdir", "", "The run's directory: the network to use.")
    flags.path(
        "pretrained",
        "",
        f"In place of --workdir: {pretrained.choices()}, made by experiments.export; by default "
        "the first that the package has.",
    )
    flags.path("out", OUT, "Where the folders of the songs go.")
    flags.string("step", "best", "The checkpoint: best, last, or the step of one of these.")
    flags.names("only", [], "Write these instruments only, e.g. --only=bass,drums.")
    flags.names("minus", [], "Also write the song without each of these, e.g. --minus=piano.")
    flags.boolean(
        "other", "Also write other.wav, what is left: all files together are the song, exactly."
    )
    flags.choice(
        "format",
        "wav",
        tuple(SUBTYPES),
        "Of the audio files; stems in mp3 and ogg do not sum exactly to the song.",
    )
    flags.choice(
        "subtype",
        None,
        SUBTYPES["wav"],
        "Bit depth of wav and flac (default: PCM_16); flac has no FLOAT, mp3 and ogg have none.",
    )
    flags.string(
        "threshold",
        "",
        f"Probability at which a note sounds, in the place of the tuned ones: {EXAMPLE}.",
    )
    flags.string(
        "onset_threshold",
        "",
        "The same for the roll of onsets, where the network has one.",
    )
    flags.number(
        "bpm",
        120.0,
        "Tempo of the MIDI file; the notes stay where they sound.",
        lowest=MIN_BPM,
        highest=MAX_BPM,
    )
    flags.choice(
        "db_reference",
        DB_REFERENCES[0],
        DB_REFERENCES,
        "What the network hears as 0 dB: the loudest moment of each window of "
        f"{WINDOW_SECONDS:g} s, with a floor below which nothing is music, or of the song.",
    )
    flags.boolean("exact", "The whole song at once: memory grows with the song.")
    flags.boolean(
        "extend_masks",
        "Carry the masks on above half the network's rate; without, stems end there.",
        default=True,
    )
    flags.boolean("page", "Write the page.", default=True)
    flags.path("references", "", "A folder of SONG.mid with true notes, to show on the page.")
    flags.boolean("overwrite", "Replace the files of an earlier call.")
    return flags


def _separate(flags: CommandFlags) -> None:
    if not flags.out:
        raise ValueError(f"--out is missing, e.g. --out={OUT} SONG.wav")
    if not (flags.workdir or flags.pretrained or pretrained.names()):
        raise ValueError(
            "--workdir is missing, e.g. --workdir=runs/demo SONG.wav; in its place --pretrained "
            f"takes {pretrained.choices()}"
        )
    if flags.workdir and flags.pretrained:
        raise ValueError("--workdir and --pretrained: one network expected, got both")
    if flags.step != "best" and not flags.workdir:
        raise ValueError(f"--step={flags.step}: needs --workdir, whose checkpoint it is")
    if not flags.arguments:
        raise ValueError("no song given; name audio files or folders after the flags")
    find_songs(flags.arguments, warn=False)  # a mistyped name is told before the network is loaded
    options = SongOptions(
        format=flags.format,
        subtype=flags.subtype or "",
        only=tuple(flags.only),
        minus=tuple(flags.minus),
        other=flags.other,
        bpm=flags.bpm,
        page=flags.page,
    )
    keep_compiled()
    return_large_blocks()
    settings = {name: flags[name].value for name in ("db_reference", "exact", "extend_masks")}
    if flags.workdir:
        predictor = Predictor.load(flags.workdir, step=flags.step, **settings)
    else:
        predictor = Predictor.pretrained(flags.pretrained, **settings)
        print(f"Network  {flags.pretrained or pretrained.names()[0]}", flush=True)
    predictor = with_thresholds(
        predictor, threshold=flags.threshold, onset_threshold=flags.onset_threshold
    )
    separate(
        flags.arguments,
        predictor=predictor,
        out=flags.out,
        overwrite=flags.overwrite,
        options=options,
        references=flags.references,
    )


def _check_network(predictor: Predictor) -> None:
    if not separates(predictor.model.heads):
        raise ValueError(
            "this network cannot separate a song: it was trained with loss.mask_inference = 0, so "
            f"it has no mask head, only {', '.join(predictor.model.heads)}; what it clusters is of "
            "no instrument until a reference says so. Use a run with a mask head"
        )
    if unknown := set(predictor.instruments) - set(INSTRUMENTS):
        raise ValueError(
            f"the network is of instruments that are none here: {', '.join(sorted(unknown))}; "
            f"known: {', '.join(INSTRUMENTS)}"
        )


def _reference_notes(
    song: Path, references: str | Path, instruments: Sequence[str], progress: SongProgress
) -> dict[str, Notes]:
    """Those of the instruments that sound; tracks of others have no row on the page, and those that
    do not tell who plays are named."""
    if not references:
        return {}
    file = Path(references) / f"{song.stem}.mid"
    if not file.is_file():
        progress.write(f"  no true notes to show: there is no {file}")
        return {}
    by_name, others = by_instrument(read_midi(file), instruments)
    if unknown := [quoted(part.name) for part in others if not who_plays(part)]:
        progress.write(
            f"  {file}: left out {', '.join(unknown[:5])}, without a program or a name that "
            "tells the instrument"
        )
    return {name: notes for name, notes in by_name.items() if len(notes)}


if __name__ == "__main__":
    sys.exit(main())
