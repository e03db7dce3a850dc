"""What the name of a track says about who plays it: "Electric Bass", "Drum Kit", "Lead Guitar".

Whole words count, and the last one that tells, as English has it: a bass clarinet is a clarinet.
Names of General MIDI's programs are known, and phrases that say another thing than their words.
"""

import re

from data_pipeline.instruments import INSTRUMENTS, instrument_of
from data_pipeline.minislakh.programs import PROGRAM_NAMES

_WORDS = {
    "piano": "piano pianos pianoforte pno epiano harpsichord clavinet clavi clav rhodes wurlitzer "
    "wurli honkytonk honky-tonk",
    "guitar": "guitar guitars gtr gtrs",
    "bass": "bass bass-guitar bass-gtr",
    "drums": "drum drums drumkit drumset kit percussion perc snare kick hihat hi-hat hihats "
    "cymbal cymbals toms bongo bongos conga congas tambourine shaker cowbell",
    "strings": "string strings violin violins viola violas cello cellos celli violoncello "
    "contrabass string-section string-quartet",
    "chromatic_percussion": "chromatic-percussion celesta glockenspiel music-box vibraphone vibes "
    "marimba xylophone tubular-bells dulcimer",
    "organ": "organ organs hammond accordion harmonica bandoneon",
    "harp": "harp harps",
    "choir": "choir choirs choral",
    "brass": "brass trumpet trumpets trombone trombones tuba tubas horn horns cornet flugelhorn "
    "euphonium",
    "reed": "reed reeds sax saxes saxophone saxophones oboe oboes bassoon bassoons clarinet "
    "clarinets english-horn cor-anglais",
    "pipe": "flute flutes piccolo recorder recorders ocarina shakuhachi",
    "synth_lead": "synth-lead lead-synth",
    "synth_pad": "synth-pad pad pads",
    "synth_effects": "synth-effects",
    "ethnic": "sitar banjo shamisen koto kalimba bagpipe bagpipes fiddle shanai",
    "percussive": "timpani steel-drum steel-drums taiko taiko-drum taiko-drums woodblock agogo "
    "orchestra-hit",
    "sound_effects": "sound-effects sfx",
    "vocals": "vocal vocals vox singer",
}
_PHRASES = {
    tuple(phrase.split("-")): name for name, words in _WORDS.items() for phrase in words.split()
}
_LONGEST = max(map(len, _PHRASES))
_PROGRAMS = {
    name.lower(): instrument_of(program, is_drum=False)
    for program, name in enumerate(PROGRAM_NAMES)
}


def instrument_named(name: str) -> str:
    """The class of instruments that the name of a track tells, '' if it tells none, or several."""
    plain = " ".join(name.lower().split())
    if plain in INSTRUMENTS:
        return plain
    if plain in _PROGRAMS:
        return _PROGRAMS[plain]
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return _told_by(re.sub(r"[(\[].*?[)\]]", " ", text)) or _told_by(text)


def _told_by(text: str) -> str:
    pieces = re.split(r"[&+/,;]|\band\b", text)
    classes = {_last_of(re.findall(r"[^\W\d_]+", piece)) for piece in pieces} - {""}
    return classes.pop() if len(classes) == 1 else ""


def _last_of(words: list[str]) -> str:
    """The class of the last phrase, of those that end there of the longest."""
    for end in range(len(words), 0, -1):
        for start in range(max(end - _LONGEST, 0), end):
            if name := _PHRASES.get(tuple(words[start:end])):
                return name
    return ""
