"""Note thresholds of one's own in the place of those that were tuned for a network."""

from dataclasses import replace

from cerberus_jax.decoding_config import DecodingConfig
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor

EXAMPLE = "0.4 for all instruments, piano=0.3,bass=0.6, or both: 0.4,bass=0.6"
FIELDS = ("threshold", "onset_threshold")  # of DecodingConfig; the flags have their names


def with_thresholds(
    predictor: Predictor, *, threshold: str = "", onset_threshold: str = ""
) -> Predictor:
    """The predictor with thresholds in the place of its own; '' leaves those of a field.

    Args:
        predictor: the network.
        threshold: of the roll of what sounds, as EXAMPLE shows.
        onset_threshold: of the roll of onsets, in the same form.

    Raises:
        ValueError: naming the flag, if a value is no number or out of range, or the network does
            not transcribe the instrument, or has no roll of onsets.
    """
    decoding, names = dict(predictor.decoding), predictor.model.transcribed_instruments
    for field, text in zip(FIELDS, (threshold, onset_threshold), strict=True):
        if not text:
            continue
        if not transcribes(predictor.model.heads):
            raise ValueError(f"--{field}={text}: this network does not transcribe")
        if field == "onset_threshold" and "onsets" not in predictor.model.heads:
            raise ValueError(
                f"--{field}={text}: this network has no roll of onsets, it was trained with "
                "loss.onsets = 0; --threshold is for the roll of what sounds"
            )
        for name, value in _by_instrument(field, text, names).items():
            decoding[name] = _changed(decoding[name], field, value, text)
    return replace(predictor, decoding=decoding)


def _by_instrument(field: str, text: str, names: tuple[str, ...]) -> dict[str, float]:
    """The value of every instrument that is given one; of its own goes before that of all."""
    of_all, own = {}, {}
    for part in text.split(","):
        name, has_name, number = part.rpartition("=")
        name = name.strip()
        if has_name and name not in names:
            raise ValueError(
                f"--{field}={text}: this network transcribes {', '.join(names)}, got {name!r}"
            )
        if name in own or (not has_name and of_all):
            raise ValueError(f"--{field}={text}: two values for {name or 'all instruments'}")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"--{field}={text}: expected {EXAMPLE}; got {part!r}") from None
        if has_name:
            own[name] = value
        else:
            of_all = dict.fromkeys(names, value)
    return of_all | own


def _changed(decoding: DecodingConfig, field: str, value: float, text: str) -> DecodingConfig:
    try:
        return replace(decoding, **{field: value})
    except ValueError as error:
        raise ValueError(f"--{field}={text}: {error}") from error
