"""Every field of a config: unit, default, source of the default. Sets change what they must.

The paper's full text leaves several settings open. Each default below names its origin: "paper"
(result tables of the authors' first demo page), "nussl 2019-10" (the authors' training library ten
days before the paper), "MT3" (a later paper that re-ran Cerberus), "lab habit" (sibling papers of
the same group) or "ours" (a choice of this project).
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The defaults: the paper's network and training for two instruments."""
    config = ConfigDict()
    # initialisation and dropout only; what a batch holds is data.seed's business (ours)
    config.seed = 0
    config.parallel = "jit"  # 'jit' (any number of devices and hosts) | 'pmap' (one host) (ours)
    config.batch_size = 40  # excerpts per step, over all devices (nussl 2019-10)
    # Slots of the network, in output order: piano, guitar, bass, drums, strings (paper: order of
    # its tables).
    config.instruments = ("piano", "guitar")
    config.excerpt_seconds = 6.4  # s per training excerpt: 400 hops (nussl 2019-10)
    config.audio = _audio()
    config.data = _data()
    config.model = _model()
    config.loss = _loss()
    _add_registered(config)
    config.optimizer = _optimizer()
    config.train = _train()
    config.decoding = ConfigDict()
    # Roll probability that counts as sounding, 0 to 1; where training starts from: at its end all
    # settings of each instrument's decoding are chosen on the validation excerpts (ours).
    config.decoding.threshold = 0.5
    config.evaluation = ConfigDict()
    config.evaluation.excerpt_seconds = 10.0  # s per scored excerpt (lab habit)
    # File written by data_pipeline.excerpts whose excerpts are scored, at their own length and
    # number; '' = excerpts drawn by the plan (ours).
    config.evaluation.excerpts = ""
    return config


def _audio() -> ConfigDict:
    audio = ConfigDict()
    audio.sample_rate_hz = 16000  # Hz, mono (paper: audio of its demo page)
    # samples, 64 ms, periodic Hann (a third-party reimplementation; not in the paper)
    audio.window = 1024
    audio.hop = 256  # samples, 16 ms: 62.5 frames per second (MT3)
    return audio


def _data() -> ConfigDict:
    data = ConfigDict()
    # Directory written by data_pipeline.prepare; '' = MiniSlakh, rendered once into the user's
    # cache folder (ours).
    data.root = ""
    data.seed = 0  # which excerpts are drawn, and their gains (ours)
    # Share of training excerpts whose sources come from the same song and moment, 0 to 1; the
    # others mix unrelated songs (lab habit has both kinds; the share is ours).
    data.coherent_probability = 0.5
    # dB; each source is scaled by a uniform draw from +- this (lab habit: +-2.5)
    data.gain_db = 3.0
    # probability that a training source is turned upside down, 0 to 1 (ours)
    data.augment_polarity = 0.0
    # semitones, whole; each training source is shifted by up to +- this by resampling, its notes
    # with it; drums never, nor coherent excerpts with drums (ours)
    data.augment_semitones = 0
    # dB; each training source is filtered by a smooth random curve that stays within +- this (ours)
    data.augment_equaliser_db = 0.0
    # probability that a training source is silent, 0 to 1; one always sounds (ours)
    data.silence_probability = 0.0
    # by this factor, 0 to 1, the slot `rest`, if there is one, sounds less often in training than
    # the others (ours)
    data.rest_probability = 1.0
    # dB re full scale; a source counts as active above this level (lab habit)
    data.active_rms_db = -30.0
    data.num_threads = 2  # reader threads; the batches do not depend on it (ours)
    data.num_validation_excerpts = 200  # fixed excerpts, rounded up to whole batches (ours)
    # fixed excerpts that evaluate scores (recalled from the paper: 1,000 to 3,000)
    data.num_test_excerpts = 1000
    # Corpus of each instrument, in the order of `instruments`; '' = any, () = any for all (ours).
    data.corpora = ()
    # training songs of the embedded MiniSlakh; 0 = its default size (ours)
    data.minislakh_songs = 0
    # Its sounds and arrangements: 'wide' = programs of whole classes, effects, songs of many kinds
    # | 'narrow' = a few programs, no effects, one kind of song (ours).
    data.minislakh_sounds = "wide"
    # Its General MIDI soundfonts, of which each stem draws one: () = TimGM6mb | ("auto",) = also
    # those that are installed | files (ours).
    data.minislakh_soundfonts = ()
    # probability that a wide song holds instruments beside the five, 0 to 1 (ours)
    data.minislakh_rest = 0.0
    # Folder of MIDI files, and the share of wide songs that are passages of them, 0 to 1 (ours)
    data.minislakh_midi_dir = ""
    data.minislakh_midi_share = 0.0
    return data


def _model() -> ConfigDict:
    model = ConfigDict()
    # The trunk, from cerberus_jax.trunks.TRUNKS. All take layers, hidden and dropout;
    # another one than 'blstm' has more in model.NAME (ours).
    model.trunk = "blstm"
    model.layers = 4  # bidirectional LSTM layers, in 'band_split' pairs of them (nussl 2019-10)
    # Units per direction, in 'band_split' half of the features that heads read (nussl 2019-10)
    model.hidden = 300
    model.dropout = 0.3  # probability, between layers (nussl 2019-10)
    model.embedding_dim = 20  # dimensions per time-frequency bin (nussl 2019-10)
    # 'sigmoid' | 'tanh', before the unit norm (nussl 2019-10)
    model.embedding_activation = "sigmoid"
    # The kind of mask, from cerberus_jax.masks.MASK_KINDS: 'softmax' over the instruments |
    # 'sigmoid' (nussl 2019-10; the authors' published estimates sum to the mixture).
    model.mask_activation = "softmax"
    # Trunk input: 'excerpt_db' = (dB + 80) / 80, dB relative to the excerpt's maximum (nussl
    # 2019-10, scaled by us) | 'excerpt_db_affine' = the same with a learned scale and shift per
    # bin | 'linear' magnitude and 'db_affine' = absolute dB with scale and shift, both for
    # imported networks.
    model.input_scaling = "excerpt_db"
    model.precision = "float32"  # 'float32' | 'bfloat16' for the products inside the network (ours)
    # How the trunk's loop is computed: 'auto' = by the platform | 'scan' | 'batched_scan' = both
    # directions in one product | 'experimental_persistent' = one kernel, NVIDIA Hopper only, which
    # has never run on one (ours)
    model.recurrence = "auto"
    return model


def _loss() -> ConfigDict:
    loss = ConfigDict()
    # The three weights; a head exists if and only if its weight is positive (paper: 0.1 / 0.1 /
    # 0.8).
    loss.deep_clustering = 0.1
    loss.mask_inference = 0.1
    loss.transcription = 0.8
    # What the masked mixture should be: 'phase_sensitive' = clip(|S| cos(angle), 0, |X|) (nussl
    # 2019-10) | 'magnitude' = |S| | 'spectrum' = S, for complex masks.
    loss.mask_inference_target = "phase_sensitive"
    # dB; for 'snr', how far below the mixture a source counts as silent; the less that is, the less
    # a silent source counts against those that sound (ours).
    loss.mask_inference_silence_db = 50.0
    # By which magnitude a bin's dominant source is chosen: 'phase_sensitive' | 'magnitude', as
    # above
    loss.deep_clustering_target = "phase_sensitive"
    # 'mse' of the probabilities (inferred: nussl had no BCE then) | 'bce'
    loss.transcription_kind = "mse"
    # The transcription loss is divided by the number of all roll 'cells' | of the 'active' ones
    # (ours).
    loss.transcription_normaliser = "cells"
    # Weight of a roll of onsets beside that of what sounds; 0 = no such head (ours).
    loss.onsets = 0.0
    loss.onsets_kind = "mse"  # 'mse' | 'bce', summed and divided by the number of onsets (ours)
    # frames; the target falls from one to zero within so many on either side of an onset (ours: 1 =
    # the frame of the onset alone)
    loss.onsets_width = 1
    # frames; N = look at one frame in N, beginning with the frame of the step's number (ours: 1 =
    # all)
    loss.deep_clustering_stride = 1
    loss.mask_inference_stride = 1  # frames; as above
    loss.transcription_stride = 1  # frames; as above
    loss.onsets_stride = 1  # frames; as above
    # excerpts that the losses hold at once; 0 = chosen for the backend (ours)
    loss.microbatch_size = 0
    return loss


def _add_registered(config: ConfigDict) -> None:
    """The fields of trunks and heads that are registered beside those above."""
    from cerberus_jax.heads import HEADS
    from cerberus_jax.trunks import TRUNKS

    for name, part in (*TRUNKS.items(), *HEADS.items()):
        if options := part.options():
            config.model[name] = ConfigDict(options)
    for name, head in HEADS.items():
        weights_and_options = {name: head.default_weight} | {
            f"{name}_{field}": value for field, value in head.loss_options().items()
        }
        for field, value in weights_and_options.items():
            if field not in config.loss:
                config.loss[field] = value


def _optimizer() -> ConfigDict:
    optimizer = ConfigDict()
    optimizer.learning_rate = 1e-3  # Adam (nussl 2019-10)
    optimizer.b1 = 0.9  # decay of the mean of the gradients (Adam's usual value)
    optimizer.b2 = 0.999  # decay of the mean of their squares (Adam's usual value)
    optimizer.eps = 1e-8  # (Adam's usual value)
    optimizer.gradient_clip_norm = 5.0  # global norm of the averaged gradient (ours)
    # decay per step of an exponential moving average of the parameters, which is then what is
    # validated, saved and used; 0 = none (ours)
    optimizer.average_decay = 0.0
    # 'plateau': times plateau_factor after more than plateau_patience validations in a row without
    # a new best (nussl 2019-10, by torch's ReduceLROnPlateau) | 'cosine': down to zero at
    # train.num_steps (ours, for short runs).
    optimizer.schedule = "plateau"
    optimizer.warmup_steps = 0  # steps of linear warm-up (ours)
    optimizer.plateau_factor = 0.5  # (nussl 2019-10)
    optimizer.plateau_patience = 5  # validations (nussl 2019-10 counts epochs)
    return optimizer


def _train() -> ConfigDict:
    train = ConfigDict()
    # Whose parameters training begins with: the directory of a run, the name of a network of the
    # package, or a file of experiments.export; '' = all are new (ours).
    train.init_from = ""
    train.num_steps = 50000  # steps: 100 epochs of 20,000 excerpts in batches of 40 (lab habit)
    train.log_every = 50  # steps between two lines of metrics.jsonl (ours)
    train.eval_every = 500  # steps between two validations: once per 20,000 excerpts (lab habit)
    # validation excerpts, as long as those of evaluation, whose SI-SDR improvement and onset F1 are
    # logged beside the losses; 0 = none (ours)
    train.scored_excerpts = 16
    # What the best checkpoint and the schedule 'plateau' go by: 'validation_loss', or the largest
    # 'validation_si_sdr_improvement' or 'validation_onset_f1' (nussl 2019-10: the loss).
    train.best_by = "validation_loss"
    # 1 = what is logged also goes into event files in the run's directory, for TensorBoard (ours)
    train.tensorboard = 0
    # The project of Weights & Biases that also gets what is logged; '' = none (ours).
    train.wandb = ""
    train.checkpoint_every = 500  # steps between two checkpoints (ours)
    train.keep_checkpoints = 2  # of the last checkpoints that are kept, beside the best (ours)
    # Equal parts in which a step takes its batch, one after another, in less memory. The update is
    # that of the whole batch, to rounding; of k parts, part j has the excerpts j, j + k, ... and
    # draws its own dropout (ours: 1 = all at once).
    train.accumulation_steps = 1
    # 1 = the same results from every run on a GPU too, but more slowly (ours)
    train.deterministic = 0
    # updates with a non-finite loss or gradient that are left out, at most, before the run ends;
    # 0 = it ends at the first (ours)
    train.skip_nonfinite = 0
    return train
