"""Renders the jobs of a tree in processes: one killed or interrupted loses only its own track."""

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from pathlib import Path

from data_pipeline.cli.progress import Progress
from data_pipeline.io.processes import end_with, num_processors
from data_pipeline.minislakh.jobs import Job, render_job
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

    Raises:
        OSError: if a track cannot be written or a process was killed; finished tracks are kept.
    """
    num_workers = min(num_workers or num_processors(), max(len(jobs), 1))
    bar = Progress(total=len(jobs), desc="MiniSlakh", unit="song", disable=not (progress and jobs))
    with bar:
        if num_workers == 1:
            renderer = Renderer(fonts, sample_rate_hz=sample_rate_hz) if jobs else None
            for job in jobs:
                render_job(out, job, renderer)
                bar.update()
            return
        pool = ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(fonts, sample_rate_hz, os.getpid()),
        )
        try:
            with _without_ctrl_c():
                futures = [pool.submit(_work, out, job) for job in jobs]
            for done in as_completed(futures):
                done.result()
                bar.update()
        except BrokenExecutor as error:
            raise ChildProcessError(
                "rendering failed: a process was killed, perhaps for want of memory; finished "
                "tracks are kept, the same command goes on from there"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
