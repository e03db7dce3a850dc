"""What an evaluation scores: the network, its floor and its ceiling.

The floor: the mixture itself, and the same network with fresh parameters. The ceiling: the
truncated phase-sensitive mask, about the best a mask between 0 and 1 can do, and the decoded
reference roll. A network without a mask head separates by clusters of its embedding, and only the
reference can tell which cluster is which instrument: its scores know the truth that far.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cerberus_jax.clustering import best_permutation, cluster_masks
from cerberus_jax.decoding import decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads import head_giving, separates, transcribes
from cerberus_jax.inference import Predictor
from cerberus_jax.metrics import si_sdr
from cerberus_jax.model import Cerberus
from cerberus_jax.notes import Notes
from cerberus_jax.steps import Rolls
from cerberus_jax.stft import istft, stft
from cerberus_jax.targets import mask_targets
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.rolls import draw_roll, note_frames
from experiments.evaluation.scoring import Estimate

BATCH_SIZE = 8
CLUSTERING_SEED = 0
ORACLE, NETWORK = "oracle", "network"

System = Callable[[Sequence[Excerpt]], list[Estimate]]


def in_groups(excerpts: Iterable[Excerpt]) -> Iterator[list[Excerpt]]:
    """Excerpts as a system takes them: as many at once as it computes together."""
    excerpts = iter(excerpts)
    while group := list(itertools.islice(excerpts, BATCH_SIZE)):
        yield group


def assignment_of(heads: Sequence[str]) -> str | None:
    """Who says which estimate is which instrument; None for a network that separates nothing."""
    if separates(heads):
        return NETWORK
    return ORACLE if head_giving("clusters", heads) else None


def excerpt_systems(predictor: Predictor, *, seed: int) -> dict[str, System]:
    """What is scored on excerpts, by the name that results.json gives it."""
    untrained = Predictor.untrained(predictor.model, seed=seed)
    return {
        "network": functools.partial(_network, predictor),
        "mixture": _mixture,
        "untrained": functools.partial(_network, untrained),
        "oracle_mask": functools.partial(_oracle, model=predictor.model),
    }


def song_systems(predictor: Predictor) -> dict[str, System]:
    """What is scored on whole songs, which the network hears in windows as in `separate`.

    Raises:
        ValueError: if the network separates by clusters.
    """
    heads = predictor.model.heads
    if assignment_of(heads) == ORACLE:
        raise ValueError(
            f"songs: this network has no mask head, only {', '.join(heads)}. It separates by "
            "clusters, which are found anew in every window and are of no instrument until a "
            "reference says so; score excerpts instead"
        )
    return {
        "network": functools.partial(_network_on_songs, predictor),
        "mixture": _mixture,
        "oracle_mask": functools.partial(_oracle, model=predictor.model, whole_songs=True),
    }


def file_systems(read: System, grid: FrameGrid, instruments: Sequence[str]) -> dict[str, System]:
    """Another tool's files, under the name of the network, and the baselines for them."""
    model = Cerberus(grid, tuple(instruments))
    return {
        "network": read,
        "mixture": _mixture,
        "oracle_mask": functools.partial(_oracle, model=model),
    }


def _network(predictor: Predictor, excerpts: Sequence[Excerpt]) -> list[Estimate]:
    mixtures = _stack([excerpt.sources.sum(0) for excerpt in excerpts])
    sources, rolls = predictor.predict_batch(mixtures)
    notes = None if rolls is None else _decoded(predictor, rolls, len(excerpts))
    if assignment_of(predictor.model.heads) == ORACLE:
        sources = [_from_clusters(predictor, excerpt) for excerpt in excerpts]
    return [
        Estimate(
            sources=None if sources is None else sources[k],
            notes=None if notes is None else notes[k],
        )
        for k in range(len(excerpts))
    ]


def _decoded(predictor: Predictor, rolls: Rolls, count: int) -> list[dict[str, Notes]]:
    """Notes of the first `count` excerpts of a batch."""
    return [
        predictor.decode(*(roll[k] for roll in rolls if roll is not None)) for k in range(count)
    ]


def _network_on_songs(predictor: Predictor, songs: Sequence[Excerpt]) -> list[Estimate]:
    rate = predictor.grid.sample_rate_hz
    predictions = [predictor.predict(song.sources.sum(0), rate) for song in songs]
    return [
        Estimate(
            sources=None if prediction.sources is None else prediction.sources[:, 0],
            notes=prediction.notes,
        )
        for prediction in predictions
    ]


def _from_clusters(predictor: Predictor, excerpt: Excerpt) -> Float[np.ndarray, "s n"]:
    """The clusters' waveforms in the order of the sources they match best, by summed SI-SDR."""
    clusters = np.asarray(
        _clusters(predictor.params, jnp.asarray(excerpt.sources.sum(0)), predictor.model)
    )
    pairs = [np.broadcast_to(source, clusters.shape) for source in excerpt.sources]
    similarity = np.stack([np.asarray(si_sdr(clusters, pair)) for pair in pairs])
    return clusters[best_permutation(np.nan_to_num(similarity))]


@functools.partial(jax.jit, static_argnums=2)
def _clusters(params: dict, mixture: Float[Array, " n"], model: Cerberus) -> Float[Array, "s n"]:
    spectrum = stft(mixture, model.grid)
    magnitude = jnp.abs(spectrum)
    name = head_giving("clusters", model.heads)
    output = model.apply({"params": params}, magnitude[None], train=False, heads=(name,))
    head = model.head_objects()[name]
    masks = cluster_masks(
        head.predict(output.outputs[head.output])[0],
        magnitude,
        num_sources=len(model.instruments),
        key=jax.random.key(CLUSTERING_SEED),
    )
    return istft(masks * spectrum, model.grid, mixture.shape[-1])


def _mixture(excerpts: Sequence[Excerpt]) -> list[Estimate]:
    return [
        Estimate(np.broadcast_to(excerpt.sources.sum(0), excerpt.sources.shape))
        for excerpt in excerpts
    ]


def _oracle(
    excerpts: Sequence[Excerpt], *, model: Cerberus, whole_songs: bool = False
) -> list[Estimate]:
    """The best mask, and the reference roll decoded; only for what the network does.

    Whole songs are computed step by step: each has a length of its own, for which a program would
    be compiled, and kept with a constant as long as the song.
    """
    sources, notes = [None] * len(excerpts), [None] * len(excerpts)
    if assignment_of(model.heads):
        batch = [excerpt.sources for excerpt in excerpts]
        batch = batch[0][None] if len(batch) == 1 else _stack(batch)
        compute = oracle_sources.__wrapped__ if whole_songs else oracle_sources
        sources = np.asarray(compute(batch, model.grid))[: len(excerpts)]
    if transcribes(model.heads):
        notes = [_decoded_reference(excerpt, model) for excerpt in excerpts]
    return [Estimate(*pair) for pair in zip(sources, notes, strict=True)]


@functools.partial(jax.jit, static_argnums=1)
def oracle_sources(sources: Float[Array, "b s n"], grid: FrameGrid) -> Float[Array, "b s n"]:
    """The mixture through the truncated phase-sensitive mask of each source."""
    sources = jnp.asarray(sources)
    mixture_spectrum = stft(sources.sum(1), grid)
    target = mask_targets(mixture_spectrum, stft(sources, grid), kind="phase_sensitive")
    phase = jnp.exp(1j * jnp.angle(mixture_spectrum))[:, None]
    return istft(target * phase, grid, sources.shape[-1])


def _decoded_reference(excerpt: Excerpt, model: Cerberus) -> dict[str, Notes]:
    slots = zip(model.transcribed_instruments, model.transcribed_slots, strict=True)
    return {
        name: decode(_reference_roll(excerpt.cut_notes[slot], model.grid, excerpt), model.grid)
        for name, slot in slots
    }


def _reference_roll(notes: Notes, grid: FrameGrid, excerpt: Excerpt) -> Float[np.ndarray, "t p"]:
    frames = [*note_frames(notes.onsets, notes.offsets, grid), notes.pitches]
    num_frames = grid.num_frames(excerpt.sources.shape[-1])
    return draw_roll(np.stack(frames, axis=1), num_frames).astype(np.float32)


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays, and as many copies of the last as make a whole batch: one compiled shape."""
    return np.stack([*arrays, *[arrays[-1]] * (BATCH_SIZE - len(arrays))])
