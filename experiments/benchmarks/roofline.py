"""The roofline of a piece of work: the least time it can take at measured rates of the machine.

Every part of the work is counted by itself, from the sizes alone: the operations of its matrix
products, and the bytes it must read and write if each array that is too large for a cache passes
through memory once. A part takes at least the longer of the two times, the whole at least their
sum. Gates, losses and the like have no operations here: they are limited by their bytes.
"""

import math
from dataclasses import dataclass

from experiments.benchmarks.workload import NUM_PITCHES, Workload

ELEMENT_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 2}  # of what is kept between products


@dataclass(frozen=True)
class Part:
    """Operations (2 for a multiplication and addition) and bytes of a part of the work."""

    name: str
    flops: float
    num_bytes: float


def roofline_seconds(operations: list[Part], machine: dict, precision: str) -> float:
    """The least time on a machine described by machine.measure."""
    products, copying = machine["product_flops"][precision], machine["copy_bytes"]
    return sum(max(one.flops / products, one.num_bytes / copying) for one in operations)


def parts_of(work: Workload, mode: str, precision: str) -> list[Part]:
    """The parts of a mode of ours.make; a forward pass alone keeps nothing for a backward."""
    of_step = mode in ("train", "gradient")
    operations = (training_step if of_step else inference)(work, precision)
    if mode in ("train", "infer"):
        return operations
    return [one for one in operations if one.name.startswith(("trunk", "recurren"))]


def trunk_products(work: Workload) -> tuple[int, int]:
    """Multiplications per frame of all layers, both directions: inputs, and recurrence."""
    gates = 2 * 4 * work.hidden
    inputs = gates * (work.num_bins + (work.layers - 1) * 2 * work.hidden)
    return inputs, gates * work.hidden * work.layers


def head_outputs(work: Workload) -> dict[str, int]:
    """Outputs per frame of each head."""
    return {
        "deep_clustering": work.num_bins * work.embedding_dim,
        "mask_inference": work.num_bins * work.num_instruments,
        "transcription": NUM_PITCHES * work.num_instruments,
    }


def num_parameters(work: Workload) -> int:
    """Weights and biases."""
    inputs, recurrent = trunk_products(work)
    outputs = sum(head_outputs(work).values())
    return inputs + recurrent + 8 * work.hidden * work.layers + outputs * (2 * work.hidden + 1)


def training_step(work: Workload, precision: str = "float32") -> list[Part]:
    """Fourier transforms, forward pass, losses, backward pass, clipping and optimiser.

    The backward pass has two products for each of the forward pass, except that nothing asks for
    the gradient of the first layer's input.
    """
    n, size = work.batch_size * work.num_frames, ELEMENT_BYTES[precision]
    inputs, first = trunk_products(work)[0], 8 * work.hidden * work.num_bins
    gates, hidden = 8 * work.hidden * work.layers, 2 * work.hidden
    rows = work.num_bins + (work.layers - 1) * hidden  # inputs of all layers
    head_macs = hidden * sum(head_outputs(work).values())
    outputs = sum(head_outputs(work).values())
    spectra = work.num_bins * (work.num_instruments + 1)
    clustering = 2 * n * work.num_bins * work.embedding_dim
    clustering *= work.embedding_dim + work.num_instruments
    embedding = head_outputs(work)["deep_clustering"]
    others = outputs - embedding
    return [
        fourier(work, work.batch_size * (work.num_instruments + 1)),
        Part("trunk inputs forward", 2 * n * inputs, n * size * (rows + gates)),
        *recurrence(work, precision),
        Part("trunk inputs backward", 2 * n * (2 * inputs - first), n * size * 2 * (rows + gates)),
        Part("heads forward", 2 * n * head_macs, n * size * (hidden + outputs)),
        Part("heads backward", 4 * n * head_macs, n * size * (3 * hidden + 2 * outputs)),
        Part("clustering statistics", clustering, n * size * embedding),
        Part("clustering gradient", clustering, n * size * 2 * embedding),
        Part("other losses and gradients", 0, n * (size * 2 * others + 4 * 2 * spectra)),
        Part("optimiser", 0, 4 * 7 * num_parameters(work)),  # reads 4 arrays, writes 3
    ]


def recurrence(work: Workload, precision: str = "float32") -> list[Part]:
    """The loops over time of all layers, forward and backward, and the product after them."""
    n, size = work.batch_size * work.num_frames, ELEMENT_BYTES[precision]
    products = 2 * n * trunk_products(work)[1]
    gates, states = 8 * work.hidden * work.layers, 2 * work.hidden * work.layers
    return [
        Part("recurrence forward", products, n * size * (2 * gates + 2 * states)),
        Part("recurrence backward", products, n * size * (2 * gates + 2 * states)),
        Part("recurrent weights' gradient", products, n * size * (gates + states)),
    ]


def serial_steps(work: Workload) -> int:
    """Steps of a training step's recurrence that must follow one another, both directions at once:
    forward and backward through every layer."""
    return 2 * work.num_frames * work.layers


def inference(work: Workload, precision: str = "float32") -> list[Part]:
    """Masks, rolls and audio of clips, without the embedding head."""
    n, size = work.batch_size * work.num_frames, ELEMENT_BYTES[precision]
    inputs, recurrent = trunk_products(work)
    gates, hidden = 8 * work.hidden * work.layers, 2 * work.hidden
    rows = work.num_bins + (work.layers - 1) * hidden
    outputs = (work.num_bins + NUM_PITCHES) * work.num_instruments
    return [
        fourier(work, work.batch_size),
        Part("trunk inputs", 2 * n * inputs, n * size * (rows + gates)),
        Part("recurrence", 2 * n * recurrent, n * size * (gates + hidden * work.layers)),
        Part("heads", 2 * n * hidden * outputs, n * size * (hidden + outputs)),
        fourier(work, work.batch_size * work.num_instruments),
    ]


def fourier(work: Workload, num_waveforms: int) -> Part:
    """Real transforms of all frames of so many waveforms, at the usual 2.5 n log2 n operations."""
    frames = num_waveforms * work.num_frames
    flops = frames * 2.5 * work.window * math.log2(work.window)
    num_bytes = 4 * (num_waveforms * work.num_samples + 2 * frames * work.num_bins)
    return Part("Fourier transforms", flops, num_bytes)
