"""Who plays a part: the program, the soundfont, the tuning and the effects of each stem."""

from dataclasses import replace
from functools import partial

from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.renderer import Renderer, Voice
from data_pipeline.minislakh.wide import effects, mixed_kit, plucked
from data_pipeline.minislakh.wide.layers import SOFTEST_DB, layered
from data_pipeline.minislakh.wide.palettes import Palette
from data_pipeline.minislakh.wide.plucked import PluckedString
from data_pipeline.minislakh.wide.presets import Presets
from data_pipeline.minislakh.wide.sizes import LARGEST, played_in_size
from data_pipeline.minislakh.wide.timbre import Timbre, draw_timbre

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
        has_effects: False leaves stems as the synthesizer gives them: no effects, other sizes,
            layers or mixed kits.

    Raises:
        ValueError: if no soundfont may play, or none has a sound for a part.
    """
    tuning = Dice(seed, "tuning").between(-TUNING_CENTS, TUNING_CENTS)
    fonts, rate = palette.allowed_soundfonts(renderer.soundfonts), renderer.sample_rate_hz
    if not has_effects:
        palette = replace(palette, other_sizes=0.0, layered=0.0, mixed_kits=0.0)
    played, voices = [], []
    for index, (part, name) in enumerate(zip(parts, names, strict=True)):
        dice = Dice(seed, f"voice {index}")
        presets = Presets(palette.programs.get(name, {part.program: 1}), fonts, renderer)
        program, font = presets.draw(part, dice)
        part = replace(part, program=program)
        cents = tuning + dice.between(-TUNING_CENTS, TUNING_CENTS)
        plain = _played(part, font, presets, palette, cents, Dice(seed, f"size {index}"))
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


def _played(
    part: Part, font: str, presets: Presets, palette: Palette, cents: float | int, dice: Dice
) -> Voice:
    """What soundfonts play: a sound as it is, or by chance what is made of one or several."""
    renderer, keys = presets.renderer, set(part.notes.pitches.tolist())
    if part.is_drum and presets.kits(()) and dice.chance(palette.mixed_kits):
        pieces = mixed_kit.draw_pieces(lambda piece: presets.kits(keys.intersection(piece)), dice)
        play = partial(mixed_kit.play, pieces, renderer, cents)
        return Voice(mixed_kit.NAME, play, mixed_kit.description(pieces))
    if part.is_drum:
        return _of_soundfont(font, cents, 0, renderer)
    voice = _of_soundfont(font, cents, _size(palette, dice), renderer)
    if not dice.chance(palette.layered):
        return voice
    program, font = presets.draw(part, dice)  # at times the same sound, often in another size
    second = _of_soundfont(font, cents, _size(palette, dice), renderer)
    return layered(voice, second, program, dice.between(SOFTEST_DB, 0.0))


def _size(palette: Palette, dice: Dice) -> int:
    return dice.integer(-LARGEST, LARGEST) if dice.chance(palette.other_sizes) else 0


def _of_soundfont(font: str, cents: float | int, semitones: int, renderer: Renderer) -> Voice:
    play = partial(played_in_size, renderer, font, semitones=semitones, cents=cents)
    return Voice(font, play, f"size {-semitones:+d} semitones" if semitones else None)


def _changed(plain: Voice, timbre: Timbre, rate: int, part: Part, num_samples: int):
    return effects.without_offset(timbre(plain.play(part, num_samples), part.notes), rate)
