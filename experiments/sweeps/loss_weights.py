"""The seven combinations of heads of the paper's ablation, piano and guitar.

    python -m experiments.sweep --config=sets/set1.py --sweep=sweeps/loss_weights.py \\
        --workdir=runs/loss_weights

A zero weight leaves the head out altogether. Each point is a name and the fields it sets.
"""


def get_sweep() -> list[tuple[str, dict[str, float]]]:
    """Name and overrides of each point, in the order of the paper's table."""
    weights = [
        ("deep_clustering", 1.0, 0.0, 0.0),
        ("mask_inference", 0.0, 1.0, 0.0),
        ("transcription", 0.0, 0.0, 1.0),
        ("chimera", 0.5, 0.5, 0.0),
        ("deep_clustering_transcription", 0.2, 0.0, 0.8),
        ("mask_inference_transcription", 0.0, 0.2, 0.8),
        ("cerberus", 0.1, 0.1, 0.8),
    ]
    return [
        (
            name,
            {
                "loss.deep_clustering": deep_clustering,
                "loss.mask_inference": mask_inference,
                "loss.transcription": transcription,
            },
        )
        for name, deep_clustering, mask_inference, transcription in weights
    ]
