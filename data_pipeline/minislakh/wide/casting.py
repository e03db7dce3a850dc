"""Who plays a part: the program, the soundfont, the tuning and the effects of each stem.

Strings that begin slowly would hardly be heard in staccato, and a plucked one would be silent for
most of a long note. So the attack of each sound is measured where the part plays, and a part draws
from those that fit it.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.programs import PIZZICATO
from data_pipeline.minislakh.renderer import Renderer, Voice
from data_pipeline.minislakh.wide import effects, mixed_kit, plucked
from data_pipeline.minislakh.wide.palettes import Palette
from data_pipeline.minislakh.wide.plucked import PluckedString
from data_pipeline.minislakh.wide.sizes import LARGEST, played_in_size
from data_pipeline.minislakh.wide.timbre import Timbre, draw_timbre

QUICK_SECONDS = 0.06  # attacks that serve any part
LONGEST_PLUCKED_SECONDS = 0.8
TUNING_CENTS = 8.0  # of a song, and of each stem against it, at most


def cast(
    parts: list[Part],
    names: list[str],
    palette: Palette,
    renderer: Renderer,
    seed: int,
    *,
    has_effects: bool = True,
) -> tuple[list[Part], list[Voice]]:
    """The parts with the programs that play them, and who plays each.

    Args:
        parts: of one song.
        names: the instrument of each part; one that the palette lacks keeps its program.
        palette: what may be drawn.
        renderer: with the soundfonts.
        seed: of all draws.
        has_effects: False leaves stems as the synthesizer gives them, in their usual size.

    Raises:
        ValueError: if no soundfont may play, or none has a sound for a part.
    """
    tuning = Dice(seed, "tuning").between(-TUNING_CENTS, TUNING_CENTS)
    fonts, rate = palette.allowed_soundfonts(renderer.soundfonts), renderer.sample_rate_hz
    varied = palette.varied if has_effects else 0.0
    played, voices = [], []
    for index, (part, name) in enumerate(zip(parts, names, strict=True)):
        dice = Dice(seed, f"voice {index}")
        programs = palette.programs.get(name, {part.program: 1})
        program, font = _sound(part, programs, fonts, renderer, dice)
        part = replace(part, program=program)
        cents = tuning + dice.between(-TUNING_CENTS, TUNING_CENTS)
        kits = _present(fonts, programs, renderer) if part.is_drum else {}
        sizes_dice = Dice(seed, f"size {index}")
        plain = _of_soundfont(font, kits, cents, varied, renderer, sizes_dice)
        if dice.chance(palette.models.get(name, 0)):
            string = PluckedString.draw(dice, cents)
            plain = Voice(plucked.NAME, partial(string.play, rate=rate))
        timbre = Timbre(())
        if has_effects:
            timbre = draw_timbre(name, palette, dice, rate)
        played.append(part)
        done = "; ".join(filter(None, (plain.effects, timbre.description)))
        voices.append(Voice(plain.name, partial(_changed, plain, timbre, rate), done))
    return played, voices


def _of_soundfont(
    font: str,
    kits: dict[tuple[str, int], float | int],
    cents: float | int,
    varied: float | int,
    renderer: Renderer,
    dice: Dice,
) -> Voice:
    """What a soundfont plays: as it is, or by chance in another size or by a mixed kit."""
    semitones = 0
    if dice.chance(varied):
        if kits:
            pieces = mixed_kit.draw_pieces(kits, dice)
            play = partial(mixed_kit.play, pieces, renderer, cents)
            return Voice(mixed_kit.NAME, play, mixed_kit.description(pieces))
        semitones = dice.integer(-LARGEST, LARGEST)
    play = partial(played_in_size, renderer, font, semitones=semitones, cents=cents)
    return Voice(font, play, f"size {-semitones:+d} semitones" if semitones else None)


def _present(fonts, programs, renderer: Renderer) -> dict[tuple[str, int], float | int]:
    """The kits that are there, and how likely each is."""
    return {
        (font, program): weight
        for font in fonts
        for program, weight in programs.items()
        if renderer.attack_seconds(font, program, 60, is_drum=True) is not None
    }


def _changed(plain: Voice, timbre: Timbre, rate: int, part: Part, num_samples: int):
    return effects.without_offset(timbre(plain.play(part, num_samples), part.notes), rate)


def _sound(
    part: Part, programs: dict[int, float | int], fonts, renderer: Renderer, dice: Dice
) -> tuple[int, str]:
    """A program and a soundfont that has it and whose attack fits the part."""
    length = float(np.median(part.notes.offsets - part.notes.onsets)) if len(part.notes) else 0.0
    pitch = int(np.median(part.notes.pitches)) if len(part.notes) else 60
    is_held = length > LONGEST_PLUCKED_SECONDS
    is_left_out = PIZZICATO if is_held and not part.is_drum else None
    sounds = [(font, program) for font in fonts for program in programs if program != is_left_out]
    attacks = {
        sound: renderer.attack_seconds(*sound, pitch, is_drum=part.is_drum) for sound in sounds
    }
    able = {sound: attack for sound, attack in attacks.items() if attack is not None}
    if not able:  # the standard kit stands in for a missing one; what else is missing is said
        first = next(iter(programs))
        return first, renderer.draw_soundfont(replace(part, program=first), dice, fonts)
    longest = max(QUICK_SECONDS, length / 2)
    fitting = [sound for sound in able if able[sound] <= longest] or [min(able, key=able.get)]
    left = sorted({program for _, program in fitting})
    program = dice.pick(left, [programs[program] for program in left])
    return program, dice.pick([font for font, p in fitting if p == program])
