"""Renders the jobs of a tree in processes: one killed or interrupted loses only its own track."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from data_pipeline.cli.progress import Progress
from data_pipeline.io.processes import end_with, num_processors
from data_pipeline.minislakh.jobs import Job, describe, render_job
from data_pipeline.minislakh.renderer import Renderer

_renderer: Renderer | None = None


@contextlib.contextmanager
def _without_ctrl_c():
    """Processes started inside never hear Ctrl-C, not even while they import."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere Python forbids it
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _start_worker(fonts: tuple[str, ...], sample_rate_hz: int, parent: int) -> None:
    """Ctrl-C is the parent's to handle: a worker finishes its track."""
    global _renderer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    _renderer = Renderer(fonts, sample_rate_hz=sample_rate_hz)


def _work(out: Path, job: Job) -> None:
    render_job(out, job, _renderer)


def render_all(
    jobs: list[Job],
    out: Path,
    fonts: tuple[str, ...],
    *,
    sample_rate_hz: int,
    num_workers: int = 0,
    progress: bool = True,
) -> None:
    """Render all jobs, in `num_workers` processes (0: one per processor).

    A MIDI file that cannot be rendered is said, and the others are.

    Raises:
        ValueError: at the end, if there were such files.
        OSError: if a track cannot be written or a process was killed; finished tracks are kept.
    """
    failed = _render(jobs, out, fonts, sample_rate_hz, num_workers, progress)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(jobs)} MIDI files could not be rendered (messages above): "
            f"{', '.join(failed)}"
        )


def _render(jobs, out, fonts, sample_rate_hz, num_workers, progress) -> list[str]:
    """Renders; returns the MIDI files that failed."""
    failed = []

    def finish(job: Job, render: Callable[[], None]) -> None:
        try:
            render()
        except (ValueError, FileNotFoundError, MemoryError) as error:
            if not job.midi_path:
                raise
            bar.write(f"midi_dir: failed {describe(error, job.midi_path)}", file=sys.stderr)
            failed.append(job.source)
        bar.update()

    num_workers = min(num_workers or num_processors(), max(len(jobs), 1))
    bar = Progress(total=len(jobs), desc="MiniSlakh", unit="song", disable=not (progress and jobs))
    with bar:
        if num_workers == 1:
            renderer = Renderer(fonts, sample_rate_hz=sample_rate_hz) if jobs else None
            for job in jobs:
                finish(job, partial(render_job, out, job, renderer))
            return failed
        pool = ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(fonts, sample_rate_hz, os.getpid()),
        )
        try:
            with _without_ctrl_c():
                job_of = {pool.submit(_work, out, job): job for job in jobs}
            for done in as_completed(job_of):
                finish(job_of[done], done.result)
            return failed
        except BrokenExecutor as error:
            raise ChildProcessError(
                "rendering failed: a process was killed, perhaps for want of memory, or could not "
                "start (message above); finished tracks are kept, the same command goes on from "
                "there"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
