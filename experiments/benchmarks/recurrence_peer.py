"""PyTorch's side of the recurrence benchmark: torch.nn.LSTM. Needs torch and numpy alone."""

import os

import torch
from torch import nn

from experiments.benchmarks.workload import SEED, Workload


def make(work: Workload, mode: str, *, device: str, precision: str):
    """A function of nothing that runs the layers once; modes as in recurrence_ours.make."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(SEED)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    place = torch.device("cuda" if device == "gpu" else device)
    layers = nn.LSTM(
        work.num_bins, work.hidden, work.layers, batch_first=True, bidirectional=True
    ).to(place)
    shape = (work.batch_size, work.num_frames)
    inputs = torch.randn(*shape, work.num_bins, device=place)
    cotangent = torch.randn(*shape, 2 * work.hidden, device=place)
    autocast = torch.autocast(place.type, torch.bfloat16, enabled=precision == "bfloat16")

    def forward():
        with torch.inference_mode(), autocast:
            return layers(inputs)[0][0, 0, 0]

    def gradient():
        layers.zero_grad(set_to_none=True)
        with autocast:
            outputs = layers(inputs)[0]
        outputs.backward(cotangent.to(outputs.dtype))
        return outputs.detach()[0, 0, 0]

    if mode == "forward":
        return forward
    if mode == "gradient":
        return gradient
    raise ValueError(f"mode: forward or gradient, got {mode!r}")
