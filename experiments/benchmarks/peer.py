"""The PyTorch side: network and step of the published cerberus-pytorch, written anew.

Same layers, losses and optimiser as that code, and the faster forms of it that PyTorch offers, so
that a comparison is with the best that PyTorch can do. Runs in a Python with torch and numpy alone.
Variants: `published` also computes every phase, and at inference runs the network twice, with all
heads; `compile` is torch.compile for heads and losses, `graph` the whole step captured as one CUDA
graph; `bf16` is autocast to bfloat16, `tf32` makes products in TensorFloat-32.

The losses are the published ones, deep clustering by norms that are not squared included: what is
compared is the time of the same products.
"""

import torch
from torch import nn

from data_pipeline.io.processes import num_processors
from experiments.benchmarks.workload import NUM_PITCHES, SEED, Workload, float_batch, song

LEARNING_RATE, GRADIENT_CLIP_NORM = 1e-4, 3.0
GRAPH_WARMUP_STEPS = 3


def make(work: Workload, mode: str, *, device: str = "cpu", variants: tuple[str, ...] = ()):
    """A function of nothing that does one training step ('train') or one song ('infer'), or runs
    the LSTM alone: its forward pass ('forward'), or both passes to the gradients ('gradient')."""
    makers = {"train": _train, "infer": _infer, "forward": _forward, "gradient": _gradient}
    torch.set_num_threads(num_processors())
    torch.manual_seed(SEED)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = "tf32" in variants
    place = torch.device("cuda" if device == "gpu" else device)
    return makers[mode](work, Peer(work).to(place), place, variants)


class Peer(nn.Module):
    """Trunk and three heads; spectra are [b t f], masks [b s t f], rolls [b s p t]."""

    def __init__(self, work: Workload):
        super().__init__()
        self.work, bins, sources = work, work.num_bins, work.num_instruments
        self.register_buffer("taper", torch.hann_window(work.window))
        self.lstm = nn.LSTM(bins, work.hidden, work.layers, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(work.dropout)
        self.mask_head = nn.Linear(2 * work.hidden, bins * sources)
        self.embedding_head = nn.Linear(2 * work.hidden, bins * work.embedding_dim)
        self.transcription_head = nn.Linear(2 * work.hidden, NUM_PITCHES * sources)

    def spectrum(self, waveform):
        """Spectra [... f t] of waveforms [... n]."""
        sizes, flat = (self.work.window, self.work.hop), waveform.reshape(-1, waveform.shape[-1])
        spectrum = torch.stft(flat, *sizes, window=self.taper, center=True, return_complex=True)
        return spectrum.reshape(*waveform.shape[:-1], *spectrum.shape[1:])

    def masks(self, features):
        logits = self.mask_head(features).unflatten(-1, (self.work.num_instruments, -1))
        return torch.softmax(logits.permute(0, 2, 1, 3), dim=1)

    def embedding(self, features):
        vectors = torch.tanh(self.embedding_head(features))
        vectors = vectors.unflatten(-1, (-1, self.work.embedding_dim)).flatten(1, 2)
        return vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-12)

    def rolls(self, features):
        logits = self.transcription_head(features).unflatten(-1, (self.work.num_instruments, -1))
        return torch.sigmoid(logits).permute(0, 2, 3, 1)

    def losses(self, features, magnitude, source_magnitude, rolls):
        """The sum of the three losses with the published weights."""
        num_sources = source_magnitude.shape[1]
        mask_loss = torch.mean((self.masks(features) * magnitude[:, None] - source_magnitude) ** 2)
        labels = nn.functional.one_hot(source_magnitude.argmax(1), num_sources)
        labels = labels.float().flatten(1, 2)
        vectors = self.embedding(features)
        rows = vectors.transpose(1, 2)
        clustering = (rows @ vectors).norm() + (labels.transpose(1, 2) @ labels).norm()
        clustering = clustering - 2 * (rows @ labels).norm()
        probabilities = self.rolls(features)
        with torch.autocast(features.device.type, enabled=False):  # refuses this loss
            transcription = nn.functional.binary_cross_entropy(probabilities.float(), rolls)
        return 0.1 * mask_loss + 1e-5 * clustering + 0.8 * transcription


def _autocast(device, variants):
    return torch.autocast(device.type, torch.bfloat16, enabled="bf16" in variants)


def _train(work, net, device, variants):
    batch = {k: torch.from_numpy(v).to(device) for k, v in float_batch(work).items()}
    losses = torch.compile(net.losses, dynamic=False) if "compile" in variants else net.losses
    optimizer = torch.optim.RMSprop(
        net.parameters(), lr=LEARNING_RATE, capturable="graph" in variants
    )

    def step():
        with torch.no_grad():
            spectra = net.spectrum(batch["mixture"]), net.spectrum(batch["sources"])
            magnitude = spectra[0].abs().transpose(1, 2).contiguous()
            source_magnitude = spectra[1].abs().transpose(2, 3).contiguous()
            if "published" in variants:
                _ = [spectrum.angle() for spectrum in spectra]
        optimizer.zero_grad(set_to_none=True)
        with _autocast(device, variants):
            features = net.dropout(net.lstm(magnitude)[0])
            loss = losses(features, magnitude, source_magnitude, batch["rolls"])
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_CLIP_NORM)
        optimizer.step()
        return loss.detach().clone()

    return _captured(step) if "graph" in variants else step


def _captured(step):
    """The step as one CUDA graph: no launch waits for Python."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # lazy set-up must not be captured
        for _ in range(GRAPH_WARMUP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
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
    waveform, published = song(work), "published" in variants

    def outputs(features):
        if published:
            net.embedding(features)
        return net.masks(features), net.rolls(features)

    heads = torch.compile(outputs, dynamic=False) if "compile" in variants else outputs

    @torch.inference_mode()
    def infer():
        mixture = torch.from_numpy(waveform).to(device)
        for _ in range(2 if published else 1):  # the published code runs once per kind of output
            spectrum = net.spectrum(mixture)
            magnitude = spectrum.abs().transpose(0, 1)[None].contiguous()
            with _autocast(device, variants):
                masks, rolls = heads(net.lstm(magnitude)[0])
        masks = masks[0].float().transpose(1, 2)
        if published:
            phase = spectrum.angle().expand(len(masks), -1, -1)
            masked = torch.polar(masks * spectrum.abs(), phase)
        else:
            masked = masks * spectrum
        sizes = {"window": net.taper, "length": len(waveform)}
        audio = torch.istft(masked, work.window, work.hop, **sizes).cpu()
        return audio[0, 0] + rolls[0].float().cpu()[0, 0, 0]

    return infer


def _forward(work, net, device, variants):
    inputs = torch.randn(work.batch_size, work.num_frames, work.num_bins, device=device)

    @torch.inference_mode()
    def forward():
        with _autocast(device, variants):
            return net.lstm(inputs)[0][0, 0, 0]

    return forward


def _gradient(work, net, device, variants):
    inputs = torch.randn(work.batch_size, work.num_frames, work.num_bins, device=device)
    cotangent = torch.randn(*inputs.shape[:2], 2 * work.hidden, device=device)

    def gradient():
        net.lstm.zero_grad(set_to_none=True)
        with _autocast(device, variants):
            outputs = net.lstm(inputs)[0]
        outputs.backward(cotangent.to(outputs.dtype))
        return outputs.detach()[0, 0, 0]

    return gradient
