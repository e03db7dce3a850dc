"""Plays parts with soundfonts."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tinysoundfont
from jaxtyping import Float

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part
from data_pipeline.minislakh import programs
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.soundfonts import default_soundfont

DRUM_CHANNEL, DRUM_BANK = 9, 128
DRUM_HOLD_SECONDS = 0.25
SILENT_LEVEL = 1e-3


@dataclass(frozen=True)
class Voice:
    """Who plays a part.

    Args:
        name: file of the soundfont, or what else makes the sound.
        play: the sound of a part with so many samples.
        effects: what was done to it, for metadata.yaml; None says nothing there.
    """

    name: str
    play: Callable[[Part, int], Float[np.ndarray, " n"]]
    effects: str | None = None


class Renderer:
    """Holds the synthesizers; one serves any number of tracks.

    Args:
        soundfonts: General MIDI soundfonts (.sf2, .sf3); each stem draws one. None given: the
            default.
        sample_rate_hz: of all it renders.

    Raises:
        FileNotFoundError: if a soundfont does not exist.
        ValueError: if a file is no soundfont, or the rate is out of range.
    """

    def __init__(self, soundfonts: tuple[str, ...] = (), *, sample_rate_hz: int = 16000):
        if not 8000 <= sample_rate_hz <= 192000:
            raise ValueError(f"sample_rate_hz must lie in 8000..192000, got {sample_rate_hz}")
        self.sample_rate_hz = sample_rate_hz
        self._synths, self._attacks, self._heard = {}, {}, {}
        for path in soundfonts or (default_soundfont(),):
            self._synths[str(path)] = self._load(str(path))

    def _load(self, path: str):
        if not os.path.isfile(path):
            raise FileNotFoundError(f"soundfont: expected an .sf2 or .sf3 file, {path} is none")
        synth = tinysoundfont.Synth(samplerate=self.sample_rate_hz)
        try:
            return synth, synth.sfload(path)
        except RuntimeError as error:
            raise ValueError(
                f"soundfont: {path} cannot be read as a soundfont (.sf2 or .sf3)"
            ) from error

    @property
    def soundfonts(self) -> tuple[str, ...]:
        """The files, as they were given."""
        return tuple(self._synths)

    def attack_seconds(self, soundfont: str, program: int, pitch: int) -> float | None:
        """Until a note has half of its largest level; None if silent, or the preset is missing."""
        if not self._has(soundfont, 0, program):
            return None
        key = (soundfont, program, pitch // 4)
        if key not in self._attacks:
            sound = self._note(soundfont, program, pitch // 4 * 4, is_drum=False)
            size = self.sample_rate_hz // 200
            level = np.sqrt(np.square(sound[: len(sound) // size * size].reshape(-1, size)).mean(1))
            first = int(np.argmax(level > level.max() / 2)) * size / self.sample_rate_hz
            self._attacks[key] = first if level.max() > SILENT_LEVEL else None
        return self._attacks[key]

    def heard_keys(self, soundfont: str, kit: int, keys: Iterable[int]) -> int | None:
        """How many of some keys of a kit of drums sound; None if the kit is missing."""
        if not self._has(soundfont, DRUM_BANK, kit):
            return None
        return sum(self._is_heard(soundfont, kit, int(key)) for key in keys)

    def _is_heard(self, soundfont: str, kit: int, key: int) -> bool:
        index = (soundfont, kit, key)
        if index not in self._heard:
            sound = self._note(soundfont, kit, key, is_drum=True)
            self._heard[index] = bool(np.abs(sound).max() > SILENT_LEVEL)
        return self._heard[index]

    def _note(
        self, soundfont: str, program: int, pitch: int, *, is_drum: bool
    ) -> Float[np.ndarray, " n"]:
        """A note of half a second and what follows."""
        notes = Notes(np.array([[0.0, 0.5]]), np.array([pitch]), np.array([100]))
        part = Part("", program, is_drum, notes)
        count = round(0.6 * self.sample_rate_hz)
        return self.render(part, soundfont=soundfont, num_samples=count)

    def draw_soundfont(self, part: Part, dice: Dice, soundfonts: Sequence[str]) -> str:
        """One of the soundfonts that have the part's program.

        Args:
            part: to be played.
            dice: random choices.
            soundfonts: those that may play it.

        Raises:
            ValueError: if none has the program.
        """
        presets = {(0, part.program)}
        if part.is_drum:  # the standard kit stands in for a missing one
            presets = {(DRUM_BANK, part.program), (DRUM_BANK, 0)}
        able = [path for path in soundfonts if any(self._has(path, *preset) for preset in presets)]
        if not able:
            missing = "drum kit" if part.is_drum else programs.PROGRAM_NAMES[part.program]
            raise ValueError(
                f"soundfont: none of {', '.join(soundfonts)} has General MIDI program "
                f"{part.program} ({missing}); add a complete one by --soundfont"
            )
        return dice.pick(able)

    def _has(self, soundfont: str, bank: int, program: int) -> bool:
        synth, font = self._synths[soundfont]
        return synth.sfpreset_name(font, bank, program) is not None

    def render(
        self, part: Part, *, soundfont: str, num_samples: int, cents: float | int = 0.0
    ) -> Float[np.ndarray, " n"]:
        """The sound of one part, mono, cut at `num_samples`, `cents` above the usual tuning."""
        synth, _ = self._synths[soundfont]
        channel = DRUM_CHANNEL if part.is_drum else 0
        if cents:
            synth.set_tuning(channel, cents / 100)
        blocks = self.blocks(part, soundfont=soundfont, num_samples=num_samples, size=num_samples)
        blocks = list(blocks)
        if cents:
            synth.set_tuning(channel, 0.0)
        return np.concatenate([np.zeros(0, np.float32), *blocks])

    def blocks(
        self, part: Part, *, soundfont: str, num_samples: int, size: int = 1 << 20
    ) -> Iterator[Float[np.ndarray, " m"]]:
        """The same in blocks of `size`; only one part at a time."""
        synth, font = self._synths[soundfont]
        channel = DRUM_CHANNEL if part.is_drum else 0
        synth.program_select(
            channel, font, DRUM_BANK if part.is_drum else 0, part.program, part.is_drum
        )
        events = iter([*self._events(part, num_samples), (num_samples, None, 0, 0)])
        event = next(events)
        for start in range(0, num_samples, max(size, 1)):
            stereo = np.zeros((min(size, num_samples - start), 2), np.float32)
            view, now, end = memoryview(stereo).cast("B"), start, start + len(stereo)
            while now < end:
                until = min(event[0], end)
                if until > now:
                    synth.generate_simple(
                        until - now, view[8 * (now - start) : 8 * (until - start)]
                    )
                    now = until
                while event[0] == now and event[1] is not None:
                    self._play(synth, channel, *event[1:])
                    event = next(events)
            yield 0.5 * (stereo[:, 0] + stereo[:, 1])
        self._silence(synth)

    def _play(self, synth, channel, is_onset, pitch, velocity):
        if is_onset:
            synth.noteon(channel, pitch, velocity)
        else:
            synth.noteoff(channel, pitch)

    def _events(self, part: Part, num_samples: int) -> list[tuple[int, int, int, int]]:
        """(sample, 1 onset or 0 offset, pitch, velocity) in order, ends before beginnings."""
        onsets, offsets = part.notes.intervals.T
        if part.is_drum:
            offsets = np.maximum(offsets, onsets + DRUM_HOLD_SECONDS)
        first = np.rint(onsets * self.sample_rate_hz).astype(np.int64)
        last = np.maximum(np.rint(offsets * self.sample_rate_hz).astype(np.int64), first + 1)
        pitches, velocities = part.notes.pitches.tolist(), part.notes.velocities.tolist()
        events = [
            *zip(first.tolist(), [1] * len(first), pitches, velocities, strict=True),
            *zip(last.tolist(), [0] * len(last), pitches, velocities, strict=True),
        ]
        return sorted(event for event in events if event[0] < num_samples)

    def _silence(self, synth) -> None:
        """Ends all voices, so that the next stem does not depend on this one."""
        synth.sounds_off()
        block = np.empty(2 * 1024, np.float32)
        for _ in range(1024):
            synth.generate_simple(1024, memoryview(block).cast("B"))
            if not block.any():
                return


def usual_voices(parts: list[Part], renderer: Renderer, uuid: str) -> list[Voice]:
    """Each part by one of the soundfonts that have its program, without effects."""
    fonts = [
        renderer.draw_soundfont(
            part, Dice(int(uuid, 16), f"soundfont {index}"), renderer.soundfonts
        )
        for index, part in enumerate(parts)
    ]
    return [
        Voice(font, lambda part, n, font=font: renderer.render(part, soundfont=font, num_samples=n))
        for font in fonts
    ]
