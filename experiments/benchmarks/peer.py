"""The PyTorch side: network and step of the published cerberus-pytorch, written anew.

Same layers, losses and optimiser as that code, and the faster forms of it that PyTorch offers, so
that a comparison is with the best that PyTorch can do. Runs in a Python with torch and numpy alone.

The losses are the published ones, deep clustering by norms that are not squared included: what is
compared is the time of the same products.
"""

import functools

import torch
from torch import nn

from experiments.benchmarks.race import usable_cores
from experiments.benchmarks.workload import NUM_PITCHES, Workload, float_batch, song

VARIANTS = {
    "published": "also computes every phase; at inference the network runs twice, with all heads",
    "compile": "torch.compile for heads and losses",
    "compileall": "torch.compile for the whole network and the losses",
    "overhead": "torch.compile with mode='reduce-overhead'",
    "graph": "the whole step captured as one CUDA graph",
    "bf16": "autocast to bfloat16",
    "medium": "float32 tensors, bfloat16 inside the products and the LSTM (oneDNN)",
    "tf32": "TensorFloat-32 products",
    "foreach": "the optimiser over all parameters at once",
}
LOSS_WEIGHTS = {"mask_inference": 0.1, "deep_clustering": 1e-5, "transcription": 0.8}
LEARNING_RATE = 1e-4
GRADIENT_CLIP_NORM = 3.0
GRAPH_WARMUP_STEPS = 3


def make(work: Workload, mode: str, *, device: str = "cpu", variants: tuple[str, ...] = ()):
    """A function of nothing that does one training step ('train') or one song ('infer').

    Raises:
        ValueError: if the mode or a variant is unknown.
    """
    if unknown := set(variants) - set(VARIANTS):
        raise ValueError(f"variants: among {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
    makers = {"train": _train, "infer": _infer}
    if mode not in makers:
        raise ValueError(f"mode: one of {', '.join(makers)}, got {mode!r}")
    torch.set_num_threads(usable_cores())
    torch.manual_seed(0)
    _set_precision(variants)
    device = "cuda" if device == "gpu" else device
    return makers[mode](work, Peer(work).to(device), torch.device(device), frozenset(variants))


def _set_precision(variants):
    torch.backends.cuda.matmul.allow_tf32 = "tf32" in variants
    torch.backends.cudnn.allow_tf32 = "tf32" in variants
    if "medium" in variants:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        torch.backends.mkldnn.rnn.fp32_precision = "bf16"


class Peer(nn.Module):
    """Trunk and three heads; spectra are [b t f], masks [b s t f], rolls [b s p t]."""

    def __init__(self, work: Workload):
        super().__init__()
        self.work = work
        bins, sources = work.num_bins, work.num_instruments
        self.lstm = nn.LSTM(bins, work.hidden, work.layers, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(work.dropout)
        self.mask_head = nn.Linear(2 * work.hidden, bins * sources)
        self.embedding_head = nn.Linear(2 * work.hidden, bins * work.embedding_dim)
        self.transcription_head = nn.Linear(2 * work.hidden, NUM_PITCHES * sources)

    def trunk(self, magnitude):
        return self.dropout(self.lstm(magnitude)[0])

    def masks(self, features):
        b, t, _ = features.shape
        logits = self.mask_head(features).view(b, t, self.work.num_instruments, -1)
        return torch.softmax(logits.permute(0, 2, 1, 3), dim=1)

    def embedding(self, features):
        b, t, _ = features.shape
        vectors = torch.tanh(self.embedding_head(features))
        vectors = vectors.view(b, t * self.work.num_bins, self.work.embedding_dim)
        return vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-12)

    def rolls(self, features):
        b, t, _ = features.shape
        logits = self.transcription_head(features).view(b, t, self.work.num_instruments, -1)
        return torch.sigmoid(logits).permute(0, 2, 3, 1)

    def losses(self, features, magnitude, source_magnitude, rolls):
        """The weighted sum of the three losses."""
        b, s, t, f = source_magnitude.shape
        mask_loss = torch.mean((self.masks(features) * magnitude[:, None] - source_magnitude) ** 2)
        labels = nn.functional.one_hot(source_magnitude.argmax(1), s).float().view(b, t * f, s)
        vectors = self.embedding(features)
        turned = vectors.transpose(1, 2)
        clustering = (turned @ vectors).norm() + (labels.transpose(1, 2) @ labels).norm()
        clustering = clustering - 2 * (turned @ labels).norm()
        found = self.rolls(features)
        with torch.autocast(features.device.type, enabled=False):  # refuses this loss
            transcription = nn.functional.binary_cross_entropy(found.float(), rolls)
        return (
            LOSS_WEIGHTS["mask_inference"] * mask_loss
            + LOSS_WEIGHTS["deep_clustering"] * clustering
            + LOSS_WEIGHTS["transcription"] * transcription
        )

    def whole(self, magnitude, source_magnitude, rolls):
        return self.losses(self.trunk(magnitude), magnitude, source_magnitude, rolls)


class _Fourier:
    """Spectra of waveforms [... n] as [... f t], and back."""

    def __init__(self, work, device):
        self.sizes = (work.window, work.hop)
        self.taper = torch.hann_window(work.window, device=device)

    def forward(self, waveform):
        flat = waveform.reshape(-1, waveform.shape[-1])
        spectrum = torch.stft(
            flat, *self.sizes, window=self.taper, center=True, pad_mode="reflect",
            return_complex=True,
        )  # fmt: skip
        return spectrum.reshape(*waveform.shape[:-1], *spectrum.shape[1:])

    def inverse(self, spectrum, num_samples):
        flat = spectrum.reshape(-1, *spectrum.shape[-2:])
        waveform = torch.istft(flat, *self.sizes, window=self.taper, length=num_samples)
        return waveform.reshape(*spectrum.shape[:-2], num_samples)


def _compiler(variants):
    if not {"compile", "compileall", "overhead"} & variants:
        return lambda function: function
    mode = "reduce-overhead" if "overhead" in variants else None
    return functools.partial(torch.compile, dynamic=False, mode=mode)


def _autocast(device, variants):
    return torch.autocast(device.type, torch.bfloat16, enabled="bf16" in variants)


def _train(work, net, device, variants):
    batch = {k: torch.from_numpy(v).to(device) for k, v in float_batch(work).items()}
    fourier, compiled = _Fourier(work, device), _compiler(variants)
    if "compileall" in variants:
        loss_of = compiled(net.whole)
    else:
        losses = compiled(net.losses)

        def loss_of(magnitude, *targets):
            return losses(net.trunk(magnitude), magnitude, *targets)

    optimizer = torch.optim.RMSprop(
        net.parameters(),
        lr=LEARNING_RATE,
        foreach=True if "foreach" in variants else None,
        capturable="graph" in variants,
    )

    def step():
        with torch.no_grad():
            spectra = fourier.forward(batch["mixture"]), fourier.forward(batch["sources"])
            magnitude = spectra[0].abs().transpose(1, 2).contiguous()
            source_magnitude = spectra[1].abs().transpose(2, 3).contiguous()
            if "published" in variants:
                _ = [spectrum.angle() for spectrum in spectra]
        optimizer.zero_grad(set_to_none=True)
        with _autocast(device, variants):
            loss = loss_of(magnitude, source_magnitude, batch["rolls"])
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_CLIP_NORM)
        optimizer.step()
        return loss.detach().clone()

    return _captured(step) if "graph" in variants else step


def _captured(step):
    """The step as one CUDA graph: no launch waits for Python."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # lazy set-up must not be captured
        for _ in range(GRAPH_WARMUP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


def _infer(work, net, device, variants):
    """Audio [s n] and rolls [s p t] of a song on the host; the song is seen whole."""
    net.eval()
    waveform = song(work)
    fourier, published = _Fourier(work, device), "published" in variants

    def outputs(features):
        if published:
            net.embedding(features)
        return net.masks(features), net.rolls(features)

    heads = _compiler(variants)(outputs)

    @torch.inference_mode()
    def infer():
        mixture = torch.from_numpy(waveform).to(device)
        for _ in range(2 if published else 1):  # the published code runs once per kind of output
            spectrum = fourier.forward(mixture)
            magnitude = spectrum.abs().transpose(0, 1)[None].contiguous()
            with _autocast(device, variants):
                masks, rolls = heads(net.lstm(magnitude)[0])
        masks = masks[0].float().transpose(1, 2)
        if published:
            phase = spectrum.angle().expand(len(masks), -1, -1)
            masked = torch.polar(masks * spectrum.abs(), phase)
        else:
            masked = masks * spectrum
        audio = fourier.inverse(masked, len(waveform)).cpu()
        return audio[0, 0] + rolls[0].float().cpu()[0, 0, 0]

    return infer
