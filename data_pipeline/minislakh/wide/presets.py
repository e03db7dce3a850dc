"""Which program of which soundfont plays a part.

Strings that begin slowly would hardly be heard in staccato, and a plucked one would be silent for
most of a long note. So the attack of each sound is measured where the part plays, and a part draws
from those that fit it. Some kits lack some keys: drums draw from those in which as many of theirs
sound as in any.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.programs import PIZZICATO
from data_pipeline.minislakh.renderer import Renderer

QUICK_SECONDS = 0.06  # attacks that serve any part
LONGEST_PLUCKED_SECONDS = 0.8


@dataclass(frozen=True)
class Presets:
    """What a part may be played by.

    Args:
        programs: General MIDI program (drum kit) -> how likely it is.
        fonts: soundfonts.
        renderer: with the soundfonts.
    """

    programs: dict[int, float | int]
    fonts: Sequence[str]
    renderer: Renderer

    def draw(self, part: Part, dice: Dice) -> tuple[int, str]:
        """A program that fits the part, and a soundfont that has it.

        The standard kit stands in for a missing one.

        Raises:
            ValueError: if no soundfont has a sound for the part.
        """
        fitting = self.kits(part.notes.pitches.tolist()) if part.is_drum else self._sounds(part)
        if not fitting:
            first = next(iter(self.programs))
            part = replace(part, program=first)
            return first, self.renderer.draw_soundfont(part, dice, self.fonts)
        left = sorted({program for _, program in fitting})
        program = dice.pick(left, [self.programs[program] for program in left])
        return program, dice.pick([font for font, p in fitting if p == program])

    def kits(self, keys: Iterable[int]) -> dict[tuple[str, int], float | int]:
        """Those (soundfont, kit) in which as many of the keys sound as in any -> how likely each
        is."""
        keys = set(keys)
        heard = {
            (font, kit): self.renderer.heard_keys(font, kit, keys)
            for font in self.fonts
            for kit in self.programs
        }
        heard = {sound: count for sound, count in heard.items() if count is not None}
        most = max(heard.values(), default=0)
        return {sound: self.programs[sound[1]] for sound, count in heard.items() if count == most}

    def _sounds(self, part: Part) -> list[tuple[str, int]]:
        """Those (soundfont, program) that are quick enough for the notes of a part."""
        notes = part.notes
        length = float(np.median(notes.offsets - notes.onsets)) if len(notes) else 0.0
        pitch = int(np.median(notes.pitches)) if len(notes) else 60
        is_left_out = PIZZICATO if length > LONGEST_PLUCKED_SECONDS else None
        programs = [program for program in self.programs if program != is_left_out]
        sounds = [(font, program) for font in self.fonts for program in programs]
        attacks = {sound: self.renderer.attack_seconds(*sound, pitch) for sound in sounds}
        able = {sound: attack for sound, attack in attacks.items() if attack is not None}
        longest = max(QUICK_SECONDS, length / 2)
        fitting = [sound for sound in able if able[sound] <= longest]
        return fitting or sorted(able, key=able.get)[:1]
