"""Files of a user's own: pairs, tagged sentences, images and texts, and the one line for each that breaks a rule."""

import gzip
import struct

import numpy as np
import pytest

from sandbox import data, files
from sandbox.errors import UsageError
from sandbox.files import read_conll, read_corpus, read_mnist, read_pairs


@pytest.fixture
def write(tmp_path):
    def put(content, name="mine.txt"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return put


def refused(read, path):
    """The line with which reading fails; it names the file."""
    with pytest.raises(UsageError) as error:
        read(path)
    line = str(error.value)
    assert "\n" not in line and path in line
    return line.replace(path, "FILE")


# Pairs -----------------------------------------------------------------------------------------------------------


def test_pairs(write):
    assert read_pairs(write("\ufeffa b\tc\r\n d \te\u2028f\n\n")) == [("a b", "c"), ("d", "e\u2028f")]


PAIRS = {
    "a b\n": "each line of FILE must have two fields with a tab between, got 1 in line 1",
    "a\tb\na\tb\tc\n": "each line of FILE must have two fields with a tab between, got 3 in line 2",
    "a\tb\n\nc\td\n": "each line of FILE must have two fields with a tab between, got 1 in line 2",
    "a\tb\n\tb\n": "each line of FILE must have text on both sides, got nothing on the left in line 2",
    "a\t \nb\tc": "each line of FILE must have text on both sides, got nothing on the right in line 1",
    "": "FILE must not be empty, got 0 bytes",
    " \n\t\n": "FILE must not be empty, got 4 bytes of white space",
}


@pytest.mark.parametrize("content", PAIRS)
def test_pairs_that_are_none(write, content):
    assert refused(read_pairs, write(content)) == PAIRS[content]


@pytest.mark.parametrize("read", [read_pairs, read_conll, read_corpus])
def test_files_that_are_no_text(write, tmp_path, read):
    assert refused(read, write(b"a\tb\n\xff\tb")) == "FILE must be UTF-8 text, got byte 0xff at offset 4"
    assert "must be UTF-8 text, got byte 0x00 at offset 1 (a binary file)" in refused(read, write(b"a\0b"))
    assert "must be a readable file, got FILE (No such file" in refused(read, str(tmp_path / "missing"))
    assert "must be a readable file, got FILE (a directory)" in refused(read, str(tmp_path))


# Tagged sentences ------------------------------------------------------------------------------------------------


def test_tagged_sentences(write):
    assert read_conll(write("\n# # NP\nwe PRP  NP \n\n \n. . O\n\n")) == [
        [("#", "#", "NP"), ("we", "PRP", "NP")],
        [(".", ".", "O")],
    ]
    with_tabs = "# id = 1\n1\tNew York\tNN\n2\t#\tSYM\n# text\n\n1\ta\tDT"
    assert read_conll(write(with_tabs)) == [[("1", "New York", "NN"), ("2", "#", "SYM")], [("1", "a", "DT")]]


SENTENCES = {
    "a b\nc\n": "each row of FILE must have 2 fields like its first, got 1 in line 2",
    "a b\n\nc d e\n": "each row of FILE must have 2 fields like its first, got 3 in line 3",
    "a\tb\nc d\n": "each row of FILE must have 2 fields like its first, got 1 in line 2",
    "a\nb\n": "each row of FILE must have a token and at least one tag, got 'a' in line 1",
    "a\t\tb\n": "each row of FILE must have no empty field, got 'a b' in line 1",
    "\n\n": "FILE must not be empty, got 2 bytes of white space",
}


@pytest.mark.parametrize("content", SENTENCES)
def test_tagged_sentences_that_are_none(write, content):
    assert refused(read_conll, write(content)) == SENTENCES[content]


# Texts -----------------------------------------------------------------------------------------------------------


def test_texts(write):
    assert read_corpus(write("ab\r\n")) == "ab\n"
    assert refused(read_corpus, write("aaa")) == "FILE must have at least two different characters, got 3 times 'a'"


# Images ----------------------------------------------------------------------------------------------------------


def idx(array, head=(0, 0, 8)):
    array = np.asarray(array, np.uint8)
    return bytes((*head, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


TRAIN, TEST = np.arange(24).reshape(2, 3, 4), np.full((1, 3, 4), 255)
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture
def mnist(write, tmp_path):
    for name, content in zip(NAMES, (TRAIN, [3, 1], TEST, [9]), strict=True):
        write(idx(content), name)
    return str(tmp_path)


def test_images(mnist, tmp_path):
    images, labels = read_mnist(mnist)
    assert images.tolist() == [*TRAIN.tolist(), *TEST.tolist()] and labels.tolist() == [3, 1, 9]
    for name in NAMES[2:]:
        (tmp_path / name).unlink()
    packed = tmp_path / NAMES[0]
    (tmp_path / "train-images.idx3-ubyte.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    images, labels = read_mnist(mnist)
    assert images.tolist() == TRAIN.tolist() and labels.dtype == np.int64


def test_images_that_are_none(mnist, write, tmp_path):
    def broken(content, name=NAMES[0]):
        before = (tmp_path / name).read_bytes()
        write(content, name)
        line = refused(read_mnist, mnist)
        write(before, name)
        return line

    good = idx(TRAIN)
    assert "must be an IDX file that begins with 00 00 08 03, got 00 00 08 01" in broken(idx([1, 2]))
    assert "must be an IDX file that begins with 00 00 08 03, got nothing" in broken(b"")
    assert "must be an IDX file that begins with 00 00 08 03, got 00 00 0d 03" in broken(idx(TRAIN, (0, 0, 13)))
    assert "must have 24 bytes for 2x3x4, got 23" in broken(good[:-1])
    assert "must have 24 bytes for 2x3x4, got 25" in broken(good + b"?")
    assert "must not be empty, got 0x3x4" in broken(idx(np.zeros((0, 3, 4))))
    assert "must have as many images as there are labels, got 2 and 1" in broken(idx([1]), NAMES[1])
    assert "must have one size, got 3x4 and 4x3" in broken(idx(np.zeros((1, 4, 3))), NAMES[2])
    (tmp_path / NAMES[3]).unlink()
    assert refused(read_mnist, mnist).endswith(f"must hold {NAMES[3]} (or the same with .gz), got no such file")
    (tmp_path / NAMES[2]).unlink()
    (tmp_path / NAMES[0]).rename(tmp_path / f"{NAMES[0]}.gz")
    assert "must be a readable IDX file, got Not a gzipped file" in refused(read_mnist, mnist)
    assert (
        refused(read_mnist, str(tmp_path / "no")) == "mnist must be a folder with IDX files, got FILE (no such folder)"
    )
    assert "must be a readable IDX file, got Is a directory" in refused(files._idx_bytes, str(tmp_path))
    assert refused(read_mnist, write("x")) == "mnist must be a folder with IDX files, got FILE (a file)"


# In the place of a source ----------------------------------------------------------------------------------------


def test_own_files_take_the_place_of_a_source(write, mnist):
    path = write("be\tB IY\nbe\tB EH\na\tAH\n")
    found = data.load("cmudict", path)
    assert found.records == {"be": [("B", "IY"), ("B", "EH")], "a": [("AH",)]}
    assert found.label == data.label("cmudict", path) and found.label.startswith("mine.txt@") and not found.fallback
    assert data.told(["cmudict"], path) == {"cmudict": (found.label, "")}
    other = data.label("cmudict", write("be\tB\n"))
    assert other != found.label and other.startswith("mine.txt@")
    assert data.load("names", write("fr\tB\nit\tC\nfr\tA\nfr\tA")).records == {"fr": ["A", "B"], "it": ["C"]}
    assert data.load("sentiment:nyt", write("well\t2\nbad\t-1.5\nwell\t1")).records == [("well", 1.5), ("bad", -1.5)]
    assert data.load("transliteration", write("a\tb")).records == [("a", "b")]
    assert data.load("shakespeare", write("ab")).records == data.load("python", write("ab")).records == "ab"
    assert data.load("roles", write("a b X\n\nc d Y")).records == [[[("a", "X")]], [[("c", "Y")]]]
    train, test = data.load("chunks", write("a p X\n\nb q Y\n\nc r Z")).records
    assert train == [[("a", "p", "X")], [("b", "q", "Y")]] and test == [[("c", "r", "Z")]]
    line = refused(lambda path: data.load("chunks", path), write("a X\n\nb Y"))
    assert "must have a token, its part of speech and its chunk, got a token and one tag" in line
    assert data.load("chunks", write("a p X\n\nb q Y\n")).records == ([[("a", "p", "X")]], [[("b", "q", "Y")]])
    images, labels = data.load("digits", mnist).records
    assert images[0, 2, 3] == 11 / 255 and images.max() == 1.0 and labels.tolist() == [3, 1, 9]
    before = data.label("digits", mnist)
    write(idx([3, 2]), NAMES[1])
    assert data.label("digits", mnist) != before


def test_own_files_that_a_source_cannot_use(write):
    assert "must have at least two categories left of the tab" in refused(
        lambda p: data.load("names", p), write("a\tb")
    )
    line = refused(lambda path: data.load("sentiment", path), write("well\t1\nbad\tvery"))
    assert line == "each line of FILE must have a number right of the tab, got 'very' in line 2"
    assert "got 'nan' in line 1" in refused(lambda path: data.load("sentiment", path), write("well\tnan"))
    assert "(it has no format for files of one's own)" in refused(lambda path: data.load("vowels", path), write("x"))
    assert "two sentences" in refused(lambda path: data.load("chunks", path), write("a p X"))
