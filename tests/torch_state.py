"""Random weights in the names and shapes of the PyTorch code bases; PyTorch is not needed."""

import numpy as np

from cerberus_jax.notes import NUM_PITCHES

NUSSL_MODULES = {
    "shared_body.lstm": "layers.recurrent_stack.rnn",
    "clustering_head.dense_embedding": "layers.embedding.linear",
    "separation_head.dense": "layers.mask.linear",
}
NUSSL_NORMALIZATION = {"weight": 1.3, "bias": 0.2, "running_mean": -31.0, "running_var": 90.0}


def random_state(
    layout: str,
    *,
    num_bins: int,
    num_sources: int,
    layers: int = 2,
    hidden: int = 5,
    embedding_dim: int = 4,
) -> dict[str, np.ndarray]:
    """A state dict of 'cerberus_pytorch' (three heads) or 'nussl' (no transcription)."""
    rng = np.random.default_rng(0)
    shapes = {}
    size = num_bins
    for k in range(layers):
        for ending in (f"l{k}", f"l{k}_reverse"):
            shapes[f"shared_body.lstm.weight_ih_{ending}"] = (4 * hidden, size)
            shapes[f"shared_body.lstm.weight_hh_{ending}"] = (4 * hidden, hidden)
            shapes[f"shared_body.lstm.bias_ih_{ending}"] = (4 * hidden,)
            shapes[f"shared_body.lstm.bias_hh_{ending}"] = (4 * hidden,)
        size = 2 * hidden
    for name, rows in (
        ("clustering_head.dense_embedding", num_bins * embedding_dim),
        ("separation_head.dense", num_sources * num_bins),
        ("transcription_head.dense", num_sources * NUM_PITCHES),
    ):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (rows, 2 * hidden), (rows,)
    state = {k: (0.3 * rng.standard_normal(s)).astype(np.float32) for k, s in shapes.items()}
    if layout == "cerberus_pytorch":
        return {f"cerberus.{key}": value for key, value in state.items()}
    renamed = {}
    for key, value in state.items():
        module, part = key.rsplit(".", 1)
        if module in NUSSL_MODULES:
            renamed[f"{NUSSL_MODULES[module]}.{part}"] = value
    for part, value in NUSSL_NORMALIZATION.items():
        renamed[f"layers.normalization.batch_norm.{part}"] = np.array([value], np.float32)
    renamed["layers.normalization.batch_norm.num_batches_tracked"] = np.array(7)
    return renamed
