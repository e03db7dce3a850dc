"""How the drummer of a wide song strikes what a groove asks for, and what is struck beside it.

Grooves name one kick, one snare, one hat and so on. General MIDI has two or three of each, and
songs of others use them all.
"""

from dataclasses import dataclass

from data_pipeline.minislakh import drums
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.rhythm import Section, hits

KICKS = {drums.KICK: 4, 35: 1.5}
SNARES = {drums.SNARE: 3, 40: 2}
HATS = {drums.HAT: 7, drums.PEDAL: 1, drums.OPEN_HAT: 1}
CRASHES = {drums.CRASH: 4, 57: 3, 52: 1, 55: 1}
RIDES = {drums.RIDE: 4, 59: 2, drums.BELL: 2}
# What stands for the floor, low, mid and high tom.
TOMS = ((41, 45, 47, 50), (43, 45, 48, 50), (41, 43, 45, 48), (43, 47, 48, 50))
WRITTEN_TOMS = (drums.FLOOR_TOM, drums.LOW_TOM, drums.MID_TOM, drums.HIGH_TOM)

# Tambourine, cowbell, cabasa, maracas, claves, wood blocks, triangles, bongos, congas, timbales,
# agogos, guiros, shaker: one or two that take turns.
PERCUSSION = (
    *((54,), (56,), (69,), (70,), (75,), (76, 77), (80, 81), (60, 61), (62, 63, 64), (65, 66)),
    *((67, 68), (73, 74), (82,)),
)
FIGURES = (
    "x.x.x.x.x.x.x.x.",
    "XoxoXoxoXoxoXoxo",
    "....x.......x...",
    "x..x..x...x.x...",
    "X.xxX.xxX.xxX.xx",
    "X.......x.......",
    "..x...x...x...x.",
    "x.x.x.x.x.x.",
    "X.x.x.X.x.x.",
    "X...........",
    "....x...x...",
)
FOOT = {16: "....x.......x...", 12: "....x...x..."}  # the hat's pedal, by the length of a bar
WITH_PERCUSSION, WITH_FOOT, WITH_OPEN_HATS = 0.3, 0.2, 0.35  # probabilities


@dataclass(frozen=True)
class Kit:
    """What one drummer uses.

    Args:
        keys: what stands for each drum of a groove.
        crashes: cymbals that take turns.
        opening: probability that a stroke on the hat is an open one.
        added: (keys that take turns, pattern of a bar) of what is struck beside the groove.
    """

    keys: dict[int, int]
    crashes: tuple[int, ...]
    opening: float | int
    added: tuple[tuple[tuple[int, ...], str], ...]

    @classmethod
    def draw(cls, dice: Dice, bar_beats: int) -> "Kit":
        """A kit for bars of so many beats."""
        size = 4 * bar_beats
        keys = dict(zip(WRITTEN_TOMS, dice.pick(TOMS), strict=True))
        written = (drums.KICK, drums.SNARE, drums.HAT, drums.RIDE)
        for drum, table in zip(written, (KICKS, SNARES, HATS, RIDES), strict=True):
            keys[drum] = dice.pick(table, table.values())
        crashes = tuple(dice.pick(CRASHES, CRASHES.values()) for _ in range(2))
        opening = dice.between(0.03, 0.25) if dice.chance(WITH_OPEN_HATS) else 0.0
        added = []
        if dice.chance(WITH_PERCUSSION):
            fitting = [figure for figure in FIGURES if len(figure) == size]
            added.append((dice.pick(PERCUSSION), dice.pick(fitting)))
        if dice.chance(WITH_FOOT):
            added.append(((drums.PEDAL,), FOOT[size]))
        return cls(keys, crashes, opening, tuple(added))

    def play(self, events: list[tuple], section: Section, dice: Dice) -> list[tuple]:
        """The hits of a section as this drummer plays them.

        Args:
            events: (beat, length, pitch, strength) of what the groove asks for.
            section: where they are.
            dice: random choices.
        """
        played, turn = [], dice.integer(0, 1)
        for beat, length, drum, strength in events:
            key = self.keys.get(drum, drum)
            if drum == drums.CRASH:
                key, turn = self.crashes[turn], 1 - turn
            elif drum == drums.HAT and dice.chance(self.opening):
                key = drums.OPEN_HAT
            played.append((beat, length, key, strength))
        length = drums.HIT_SECONDS * section.bpm / 60
        for keys, pattern in self.added:
            for bar in section.bars:
                for index, (beat, _, accent) in enumerate(hits(pattern)):
                    key = keys[index % len(keys)]
                    played.append((bar.start + beat, length, key, 0.9 * accent))
        return drums.once(played)
