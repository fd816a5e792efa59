"""Four-part chorales by J. S. Bach on a grid of quarter notes: soprano, alto, tenor, bass.

From music21 10.5.1: its corpus of compressed MusicXML, read in place. The editions have licences of their own: they are
read and never passed on. Pieces of four parts only, in the order of their BWV names; a step has the pitch that sounds
at its beginning. In its place: chords that follow each other by the rules of a schoolbook, in several keys.

Records: list of (T, 4) int64 arrays, MIDI numbers, -1 for a rest.
"""

import io
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np

from sandbox.data import Source, choose, generator

CORPUS = r"music21/corpus/bach/bwv[^/]*\.mxl"
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
TICKS = 10080  # in a quarter note: divisible by every number to 10, and by 32
PIECES = 200
# Degrees of a major key that may follow each other; a phrase ends with V I.
FOLLOWING = {0: (3, 4, 5, 1, 3, 4), 1: (4, 4, 6), 2: (5, 3), 3: (4, 0, 1, 4), 4: (0, 0, 5, 0), 5: (1, 3, 4), 6: (0,)}
SCALE = (0, 2, 4, 5, 7, 9, 11)
RANGES = ((60, 79), (55, 74), (48, 67), (40, 60))


def read(members):
    """Read every piece that has four parts."""
    pieces = [piece(members.read(name), members.damaged) for name in members.matching(CORPUS)]
    return [each for each in pieces if each is not None]


def piece(data, damaged):
    """Return the grid (T, 4) of a compressed score; None if it has not four parts, or no notes."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(data))
        name = next(name for name in packed.namelist()
                    if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF"))  # fmt: skip
        parts = ElementTree.fromstring(packed.read(name)).findall("part")
    except (zipfile.BadZipFile, StopIteration, ElementTree.ParseError) as error:
        raise damaged(error) from error
    if len(parts) != 4:
        return None
    voices = [notes(part) for part in parts]
    steps = max((end for voice in voices for _, end, _ in voice), default=0) // TICKS
    grid = np.full((steps, 4), -1, np.int64)
    for column, voice in enumerate(voices):
        for start, end, pitch in voice:
            grid[-(-start // TICKS) : -(-end // TICKS), column] = pitch
    return grid if steps else None


def notes(part):
    """Return (start, end, pitch or -1) of the first voice of a part, in ticks; of a chord its first note."""
    found, now, divisions = [], 0, 1
    for measure in part.iter("measure"):
        last = now
        for element in measure:
            if element.tag == "attributes":
                divisions = int(element.findtext("divisions") or divisions)
            if element.tag not in ("note", "backup", "forward") or element.find("grace") is not None:
                continue
            length = int(element.findtext("duration")) * TICKS // divisions
            if element.tag == "backup":
                now -= length
            elif element.tag == "forward" or element.findtext("voice", "1") != "1":
                now += length if element.find("chord") is None else 0
            elif element.find("chord") is None:
                found.append((now, now + length, midi(element.find("pitch"))))
                now += length
                last = max(last, now)
        now = max(now, last)
    return found


def midi(pitch):
    """Return the MIDI number of a pitch, -1 for a rest."""
    if pitch is None:
        return -1
    altered = int(float(pitch.findtext("alter", "0")))
    return 12 * (int(pitch.findtext("octave")) + 1) + STEPS[pitch.findtext("step")] + altered


def nearest(tone, voice, before):
    """Return the pitch of a voice's range with this tone that is nearest to where the voice was."""
    return min((pitch for pitch in range(*RANGES[voice]) if pitch % 12 == tone), key=lambda p: abs(p - before[voice]))


def voiced(rng, chord, before):
    """Return four pitches of a chord: the bass its root, the others the nearest to where they were, all three used."""
    root, third, fifth = chord
    bass = nearest(root, 3, before)
    candidates = []
    for order in (chord, (third, fifth, root), (fifth, root, third), (root, fifth, third), (third, root, fifth)):
        upper = [nearest(tone, voice, before) for voice, tone in enumerate(order)]
        if upper[0] > upper[1] > upper[2] > bass:
            moved = abs(upper[0] - before[0]) + abs(upper[1] - before[1]) + abs(upper[2] - before[2])
            candidates.append((moved + rng.random(), *upper, bass))
    return min(candidates)[1:] if candidates else (before[0], before[1], before[2], before[3])


def generate():
    """Write pieces of four to eight phrases of eight quarters; the last chord of a phrase is held."""
    rng, pieces = generator("chorales"), []
    for _ in range(PIECES):
        key = int(12 * rng.random())
        now, rows = (67 + key % 5, 62 + key % 4, 55 + key % 5, 48 + key % 7), []
        for _ in range(4 + int(5 * rng.random())):
            degree = 0
            for beat in range(8):
                degree = 4 if beat == 5 else 0 if beat >= 6 else choose(rng, FOLLOWING[degree]) if beat else 0
                if beat < 7:
                    chord = [(key + SCALE[(degree + third) % 7]) % 12 for third in (0, 2, 4)]
                    now = voiced(rng, chord, now)
                rows.append(now)
        pieces.append(np.array(rows, np.int64))
    return pieces


SOURCE = Source(
    holds="364 pieces",
    licence="mixed: read, never redistribute",
    beat="Markov-1 of each voice: 8.56 nats a step; Kneser-Ney 7-gram 5.94",
    read=read,
    generate=generate,
    stand_in="generated progressions",
)
