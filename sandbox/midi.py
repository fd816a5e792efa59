"""Standard MIDI files, format 1, of voices on an even grid: what any player or notation program opens.

A header `MThd` with format, number of tracks and ticks to a quarter note; then tracks `MTrk`, the first with the tempo.
A track is a list of events, each after its distance in ticks from the one before: seven bits to a byte, the highest
first, the eighth bit set on all bytes but the last (MIDI Manufacturers Association, Standard MIDI Files 1.0, 1996).
"""

import numpy as np

__all__ = ["midi"]

TICKS = 480  # to a quarter note
VELOCITY, ORGAN = 80, 19


def midi(voices: np.ndarray, *, per_quarter: int = 1, tempo: int = 80) -> bytes:
    """A MIDI file of voices, one track each; a pitch that stays is one long note.

    Parameters
    ----------
    voices : (T, V) whole numbers
        MIDI pitches 0 to 127 at each step, V at most 9; -1 is a rest.
    per_quarter : int
        Steps to a quarter note.
    tempo : int
        Quarter notes a minute.

    Examples
    --------
    >>> midi(np.array([[60], [60], [-1]]))[-17:].hex(" ")  # on, 960 ticks later off, end
    '00 c0 13 00 90 3c 50 87 40 80 3c 00 83 60 ff 2f 00'
    """
    first = b"\x00\xff\x51\x03" + (60_000_000 // tempo).to_bytes(3, "big") + b"\x00\xff\x2f\x00"
    tracks = [first, *(_track(line, channel, TICKS // per_quarter) for channel, line in enumerate(voices.T.tolist()))]
    header = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (1, len(tracks), TICKS))
    return header + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in tracks)


def _track(line, channel, step):
    """Events of one voice; whatever sounds when a step begins, and is another pitch there, ends."""
    found, waited, sounding = [b"\x00" + bytes([0xC0 | channel, ORGAN])], 0, -1
    for pitch in [*line, None]:
        if pitch != sounding:
            for status, note in ((0x80, sounding), (0x90, -1 if pitch is None else pitch)):
                if note >= 0:
                    found.append(_distance(waited) + bytes([status | channel, note, VELOCITY if status == 0x90 else 0]))
                    waited = 0
            sounding = pitch
        waited += step if pitch is not None else 0
    return b"".join(found) + _distance(waited) + b"\xff\x2f\x00"


def _distance(ticks):
    """A whole number in as many groups of seven bits as it takes."""
    groups = [ticks & 127]
    while ticks := ticks >> 7:
        groups.append(ticks & 127 | 128)
    return bytes(reversed(groups))
