"""Sources: what is drawn, its statistics, and one line for every file that cannot be used."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sandbox import files, sources
from sandbox.streams import stream

CSV = 'date,tmax, rain\n2024-01-01,1.5,0\n2024-01-02,-2e0,0\n2024-01-03,"7",1\n2024-01-04,3,0\n'


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def draw(source, seq_len=20, batch=4, seed=0, **files):
    return sources.inputs(source, stream("data", seed), seq_len, batch, **files)


def refusal(function, *args, **kwargs):
    with pytest.raises(ValueError) as error:
        function(*args, **kwargs)
    message = str(error.value)
    assert "\n" not in message
    return message


# What is drawn ---------------------------------------------------------------------------------------------------


def test_names_and_settings():
    assert sources.names() == ("noise", "text", "series")
    assert [setting.name for setting in sources.SETTINGS] == ["text", "csv", "column"]


@pytest.mark.parametrize("source", sources.names())
@pytest.mark.parametrize(("seq_len", "batch"), [(1, 1), (20, 3)])
def test_shape_and_bits(source, seq_len, batch):
    x, label = draw(source, seq_len, batch)
    assert x.shape[:2] == (seq_len, batch) and x.ndim == 3
    assert x.dtype == np.float64 and x.flags.c_contiguous and np.isfinite(x).all()
    again, same_label = draw(source, seq_len, batch)
    np.testing.assert_array_equal(x, again)
    assert label == same_label and "," not in label
    other, _ = draw(source, 50, 4, seed=1)
    assert (other != draw(source, 50, 4, seed=2)[0]).any()


@pytest.mark.parametrize("source", sources.names())
def test_rows_of_a_batch_differ(source):
    x, _ = draw(source, 50, 4)
    assert all((x[:, 0] != x[:, b]).any() for b in range(1, 4))


def test_noise():
    x, label = draw("noise", 500, 10)
    assert label == "noise" and x.shape[2] == sources.NOISE_WIDTH
    assert abs(x.mean()) < 4 / np.sqrt(x.size) and x.var() == pytest.approx(1, abs=0.05)


def test_series_is_a_standardised_mixture_of_its_periods():
    x, label = draw("series", 4000, 16)
    assert label == "series" and x.shape[2] == 1
    assert abs(x.mean()) < 0.02 and x.var() == pytest.approx(1, abs=0.02)
    steps = np.arange(4000)[:, None] / np.array(sources.PERIODS)
    waves = np.hstack([np.sin(2 * np.pi * steps), np.cos(2 * np.pi * steps)])
    weights, *_ = np.linalg.lstsq(waves, x[:, :, 0], rcond=None)
    np.testing.assert_allclose(waves @ weights, x[:, :, 0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.hypot(weights[:3], weights[3:]), np.sqrt(2 / 3), rtol=0, atol=1e-9)


def test_text_by_default_is_pythons_documentation():
    x, label = draw("text", 200, 8)
    version = f"python-{sys.version_info.major}.{sys.version_info.minor} topics@"
    assert label.startswith(version) and len(label) == len(version) + 6
    assert 40 < x.shape[2] <= sources.ALPHABET
    np.testing.assert_array_equal(x.sum(axis=2), 1.0)
    np.testing.assert_array_equal(np.unique(x), [0.0, 1.0])


def test_text_windows_are_pieces_of_the_file(write):
    content = "der Vogel fängt den Wurm; " * 3 + "ß"
    path = write(content, "früh.txt")
    x, label = draw("text", 12, 30, text=path)
    alphabet = sorted(set(content))
    assert x.shape == (12, 30, len(alphabet)) and label.startswith("früh.txt@")
    windows = ["".join(alphabet[symbol] for symbol in x[:, b].argmax(axis=1)) for b in range(30)]
    assert all(window in content for window in windows) and len(set(windows)) > 10


def test_each_window_of_a_file_can_be_drawn(write):
    path = write("abcde", "a.txt")
    x, _ = draw("text", 3, 300, text=path)
    assert set(x[0].argmax(axis=1)) == {0, 1, 2} and set(x[2].argmax(axis=1)) == {2, 3, 4}
    whole, _ = draw("text", 5, 2, text=path)
    np.testing.assert_array_equal(whole[:, 1], np.eye(5))


def test_rare_characters_share_the_last_symbol(write):
    common = "".join(chr(0x4E00 + k) for k in range(sources.ALPHABET - 1))
    rare = "".join(chr(0x3041 + k) for k in range(20))
    content = common * 2 + rare
    x, _ = draw("text", len(content), 1, text=write(content, "kanji.txt"))
    symbols = x[:, 0].argmax(axis=1)
    assert x.shape[2] == sources.ALPHABET
    np.testing.assert_array_equal(symbols[: len(common)], np.arange(sources.ALPHABET - 1))
    np.testing.assert_array_equal(symbols[2 * len(common) :], sources.ALPHABET - 1)


def test_an_alphabet_that_just_fits_has_no_shared_symbol(write):
    content = "".join(chr(0x4E00 + k) for k in range(sources.ALPHABET))
    content += content[1:]  # the first is the rarest
    x, _ = draw("text", len(content), 1, text=write(content, "fits.txt"))
    np.testing.assert_array_equal(x[: sources.ALPHABET, 0], np.eye(sources.ALPHABET))


def test_line_ends_and_byte_order_marks_are_not_symbols(write):
    assert files.read_text(write(b"\xef\xbb\xbfone\r\ntwo", "dos.txt")) == "one\ntwo"
    assert files.read_column(write("\ufeff" + CSV.replace("\n", "\r\n")), "tmax")[0] == 1.5


def test_column(write):
    path = write(CSV, "weather.csv")
    np.testing.assert_array_equal(files.read_column(path, "tmax"), [1.5, -2.0, 7.0, 3.0])
    np.testing.assert_array_equal(files.read_column(path, "rain"), [0, 0, 1, 0])
    x, label = draw("series", 4, 2, csv=path, column="tmax")
    assert x.shape == (4, 2, 1) and label.startswith("weather.csv:tmax@")
    values = np.array([1.5, -2.0, 7.0, 3.0])
    np.testing.assert_allclose(x[:, 0, 0], (values - values.mean()) / values.std(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("factor", ["e-310", "e-160", "e160", "e307"])
def test_a_column_is_standardised_at_any_scale(write, factor):
    path = write("v\n" + "".join(f"{value}{factor}\n" for value in (1, 2, 4, 15)))
    x, _ = draw("series", 4, 1, csv=path, column="v")
    values = np.array([1.0, 2, 4, 15])  # at e307 their sum overflows
    np.testing.assert_allclose(x[:, 0, 0], (values - values.mean()) / values.std(), rtol=0, atol=1e-13)


def test_a_file_is_read_again_when_it_changes(write):
    path = write("abcabc", "a.txt")
    _, label = draw("text", 2, 1, text=path)
    write("abcabd", "a.txt")
    os.utime(path, ns=(1, 1))
    assert files.read_text(path) == "abcabd"
    assert draw("text", 2, 1, text=path)[1] != label
    assert draw("text", 2, 1, text=write("abcabc", "b.txt"))[1].partition("@")[2] == label.partition("@")[2]


def test_what_is_read_cannot_be_spoiled(write):
    column = files.read_column(write(CSV), "tmax")
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 5.0


def test_importing_the_module_does_not_import_numba():
    code = "import sys, sandbox.sources; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Refusals --------------------------------------------------------------------------------------------------------


def test_missing_directories_and_special_files(tmp_path):
    missing = tmp_path / "gone.txt"
    assert refusal(files.read_text, missing) == (
        f"text must be a readable file, got {missing} (No such file or directory)")  # fmt: skip
    assert refusal(files.read_text, tmp_path) == f"text must be a readable file, got {tmp_path} (a directory)"
    assert refusal(files.read_column, missing, "a").startswith("csv must be a readable file, got ")
    assert refusal(files.read_text, os.devnull).endswith("(not a regular file)")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "must not be empty, got 0 bytes"),
        (b" \n\t\n", "must not be empty, got 4 bytes of white space"),
        (b"abc\xff\xfedef", "must be UTF-8 text, got byte 0xff at offset 3"),
        (b"\xef\xbb\xbfab\xe4", "must be UTF-8 text, got byte 0xe4 at offset 5"),
        (b"ab\0cd", "must be UTF-8 text, got byte 0x00 at offset 2 (a binary file)"),
    ],
)
def test_files_that_are_no_text(write, content, rule):
    path = write(content)
    assert refusal(files.read_text, path) == f"{path} {rule}"
    assert refusal(files.read_column, path, "a") == f"{path} {rule}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("date,tmax\n1,2\n2,3\n", "column 'tmx' not in FILE; did you mean 'tmax'? (columns: date, tmax)"),
        ("date;tmx\n1;2\n", "column 'tmx' not in FILE (columns: date;tmx; fields must be separated by commas)"),
        ("\na,tmx\n1,2\n", "column 'tmx' not in FILE (columns: )"),
        ("tmx,a,tmx\n1,2,3\n", "column 'tmx' must be named once in the header of FILE, got 2 times"),
        ("a,tmx\n", "FILE must have rows below its header, got none"),
        ("a,tmx\n1,2\n2,x\n", "column 'tmx' of FILE must be a number in each line, got 'x' in line 3"),
        ("a,tmx\n1,2\n2,1_0\n", "column 'tmx' of FILE must be a number in each line, got '1_0' in line 3"),
        ("a,tmx\n\"1\n1\",2\n2,x\n", "column 'tmx' of FILE must be a number in each line, got 'x' in line 4"),
        ("a,tmx\n1, \n", "column 'tmx' of FILE must be a number in each line, got nothing in line 2"),
        ("a,tmx\n1,1\n2,nan\n", "column 'tmx' of FILE must be a finite number in each line, got 'nan' in line 3"),
        ("a,tmx\n1,-inf\n", "column 'tmx' of FILE must be a finite number in each line, got '-inf' in line 2"),
        ("a,tmx\n1,2\n3\n", "each line of FILE must have 2 fields like its header, got 1 in line 3"),
        ("a,tmx\n1,2\n3,4,5\n", "each line of FILE must have 2 fields like its header, got 3 in line 3"),
        ("a,tmx\n1,2\n\n\n3,4\n", "each line of FILE must have 2 fields like its header, got an empty line 3"),
        ("a,tmx\n1,2\n\"3,4\n", "FILE must be a CSV file, got unexpected end of data in line 3"),
        ("a,tmx\n1,2\n3,2\n", "column 'tmx' of FILE must vary, got 2 times 2.0"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_used(write, content, message):
    path = write(content)
    assert refusal(files.read_column, path, "tmx") == message.replace("FILE", path)


def test_blank_lines_at_the_end_are_allowed(write):
    np.testing.assert_array_equal(files.read_column(write("v\n1\n2\n\n\n"), "v"), [1, 2])


def test_windows_longer_than_the_data(write):
    text, csv = write("abcdef", "a.txt"), write(CSV, "w.csv")
    assert refusal(draw, "text", 7, text=text) == "a.txt must have at least seq_len=7 characters, got 6"
    assert refusal(draw, "series", 5, csv=csv, column="tmax") == "w.csv:tmax must have at least seq_len=5 rows, got 4"
    assert refusal(draw, "text", 10_000_000).startswith("python-3.")
    assert draw("text", 6, text=text)[0].shape[0] == 6


def test_bad_arguments(write):
    csv = write(CSV)
    assert refusal(draw, "seris") == "unknown source 'seris'; did you mean 'series'?"
    assert refusal(draw, "xyz") == "unknown source 'xyz' (choose from: noise, text, series)"
    assert refusal(draw, "noise", 0) == "seq_len and batch must be at least 1, got 0 and 4"
    assert refusal(draw, "series", csv=csv) == "--csv must be given together with --column, got --csv alone"
    assert refusal(draw, "series", column="a") == "--column must be given together with --csv, got --column alone"


def test_check_reads_what_the_grid_will_need_and_nothing_else(write, tmp_path):
    text, csv, missing = write("abcdef", "a.txt"), write(CSV, "w.csv"), str(tmp_path / "gone")
    every = {"source": ["noise", "text", "series"], "seq_len": [2, 4]}
    sources.check(every, {"text": text, "csv": csv, "column": "tmax"})
    sources.check(every, {})
    sources.check({"source": ["noise"], "seq_len": [10**9]}, {"text": missing})
    sources.check({"source": ["series"], "seq_len": [10**9]}, {"text": None, "csv": None, "column": None})
    assert "No such file" in refusal(sources.check, every, {"text": missing})
    longer = {"source": ["text", "series"], "seq_len": [2, 5]}
    assert refusal(sources.check, longer, {"csv": csv, "column": "tmax"}).startswith("w.csv:tmax must have at least")
    assert "did you mean 'tmax'" in refusal(sources.check, every, {"csv": csv, "column": "tmx"})
    assert "--csv alone" in refusal(sources.check, every, {"csv": csv})
    assert "a.txt must have at least seq_len=7" in refusal(
        sources.check, {"source": ["text"], "seq_len": [7]}, {"text": text})  # fmt: skip
