"""Encoder-decoder: a sequence, or one vector, is read; another sequence of its own length is written.

    source --encoder--> outputs of every step, last states --bridge--> start states --decoder--> target
                             '---------------------- attention ----------------------------'

A target ends in `END`; the decoder reads it one step late, with `START` in front (numbers of `sandbox.alphabet`). While
it learns, the decoder is given the right symbols (teacher forcing), or some of its own (`sandbox.seq2seq.forcing`);
`sandbox.decoding` lets it write alone. (Sutskever, Vinyals & Le 2014; Cho et al. 2014; with attention Bahdanau, Cho &
Bengio 2015, read as in Luong, Pham & Manning 2015.)
"""

from sandbox.seq2seq.decoder import ATTENTIONS
from sandbox.seq2seq.encoder import BRIDGES
from sandbox.seq2seq.model import KINDS, Reading, Seq2Seq

__all__ = ["ATTENTIONS", "BRIDGES", "KINDS", "Reading", "Seq2Seq"]
