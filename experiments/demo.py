"""The demo from start to end: songs, training, evaluation, one song separated, the report page.

Every stage after the first is the command a user would type, in a process of its own, so what the
demo does can be repeated and varied by hand. A stage whose output is newer than the checkpoints is
not repeated; training goes on where it stopped.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.runtime.huge_pages import restart_with_huge_pages

SET = "sets/demo.py"
INTERRUPTED = "Stopped. The same command continues the demo."


@dataclass(frozen=True)
class Stage:
    """One command of the demo: the arguments of `python -m`, and the file whose age tells whether
    it is done; None if it always runs."""

    name: str
    title: str
    arguments: list[str]
    output: Path | None = None


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_demo, _flags(), argv=argv, with_config=True, on_interrupt=INTERRUPTED)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.demo [--workdir=DIR] [--config.FIELD=VALUE ...]",
        "Render MiniSlakh, train a small network on it (sets/demo.py), score it on songs it never\n"
        "heard, separate one of them and write a report page. The same command continues a demo\n"
        "that was stopped.",
    )
    flags.path("workdir", "runs/demo", "Where everything but the songs goes.")
    return flags


def _demo(flags: CommandFlags, overrides: Overrides) -> None:
    workdir = Path(flags.workdir)
    started = time.monotonic()
    _announce(1, "Songs: MiniSlakh, rendered and prepared once")
    song = _held_out_song(workdir, overrides=overrides)
    times = {"songs": time.monotonic() - started}
    for number, stage in enumerate(_stages(workdir, song, overrides=overrides), 2):
        _announce(number, stage.title)
        if stage.output and _is_newer(stage.output, workdir / "checkpoints"):
            print(f"Already done: {stage.output}", flush=True)
            times[stage.name] = 0.0
            continue
        stage_started = time.monotonic()
        _run(stage.name, stage.arguments)
        times[stage.name] = time.monotonic() - stage_started
    _close(workdir, song, times=times)


def _held_out_song(workdir: Path, *, overrides: Overrides) -> Path:
    """A copy, in `workdir`, of a mixture from the test songs, which training never sees."""
    from experiments.config.loading import load_config
    from experiments.config.resume import check_resume
    from experiments.training import embedded

    config = load_config(SET, overrides)
    check_resume(config, workdir)
    embedded.check_songs(config, workdir)
    folder = embedded.tree(config) / "test"
    songs = sorted(folder.glob("Track*/mix.flac"))
    if not songs:
        raise FileNotFoundError(
            f"no Track*/mix.flac in {folder}, the test songs to separate; delete "
            f"{folder.parent.parent}, and they are rendered anew"
        )
    print(f"{len(songs)} held-out songs in {folder}", flush=True)
    workdir.mkdir(parents=True, exist_ok=True)
    name = songs[0].parent.name
    if (notes := songs[0].with_name("all_src.mid")).exists():  # shown beside the network's
        shutil.copyfile(notes, workdir / f"{name}.mid")
    return Path(shutil.copyfile(songs[0], workdir / f"{name}.flac"))


def _stages(workdir: Path, song: Path, *, overrides: Overrides) -> list[Stage]:
    fields = [f"--config.{field}={value}" for field, value in overrides]
    run = f"--workdir={workdir}"
    separated = workdir / "separated"
    return [
        Stage("training", "Training", ["experiments.run", f"--config={SET}", run, *fields]),
        Stage(
            "evaluation",
            "Evaluation on held-out songs",
            ["experiments.evaluate", run],
            output=workdir / "results.json",
        ),
        Stage(
            "separation",
            f"Separation of {song.stem}, a held-out song",
            [
                "experiments.separate",
                run,
                f"--out={separated}",
                f"--references={workdir}",
                "--overwrite",
                str(song),
            ],
            output=separated / song.stem / "transcription.mid",
        ),
        Stage("report", "Report page", ["experiments.report", run]),
    ]


def _announce(number: int, title: str) -> None:
    print(f"\n[{number}/5] {title}", flush=True)


def _run(name: str, arguments: list[str]) -> None:
    print("$ python -m " + " ".join(arguments), flush=True)
    process = subprocess.Popen([sys.executable, "-m", *arguments])
    code = None
    while code is None:
        # Ctrl-C reaches the stage too: wait until it has saved what it has.
        with contextlib.suppress(KeyboardInterrupt):
            code = process.wait()
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise ChildProcessError(f"{name} ended with exit code {code}; the messages above say why")


def _is_newer(output: Path, folder: Path) -> bool:
    """Whether a file was written after everything in a folder."""
    newest = max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0)
    return output.exists() and output.stat().st_mtime >= newest


def _close(workdir: Path, song: Path, *, times: dict[str, float]) -> None:
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)
    )
    gigabytes = peak * (1 if sys.platform == "darwin" else 1024) / 2**30
    folder = workdir / "separated" / song.stem
    lines = [
        "",
        f"Done in {sum(times.values()) / 60:.1f} minutes on {os.cpu_count()} cores: {spent}.",
        f"Largest process: {gigabytes:.1f} GB.",
        "",
        f"Open   {workdir / 'report' / 'index.html'}",
        "           curves, scores and settings of this run",
        f"       {folder / 'index.html'}",
        f"           {song} taken apart: listen to stems and notes, see piano rolls",
        f"Read   {workdir / 'results.json'}",
        "           every score of every excerpt",
        "",
        "Separate a song of yours:",
        f"  python -m experiments.separate --workdir={workdir} --out=separated SONG.wav",
        "",
        "This network learned for minutes, from synthetic songs played by one soundfont. What to",
        "expect of it on real recordings, and how to train a real one: README.md.",
    ]
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
