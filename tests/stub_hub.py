"""A stand-in for the Hugging Face hub on this machine: the few addresses that pushing and pulling ask for.

It speaks the protocol that the real `huggingface_hub` client speaks, so the client under test is the real one. What the
real hub does beyond it (large-file storage, rights, limits) is not tested.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StubHub:
    """Repositories in memory: `files[repository][path]`, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        """Paths that end the connection."""
        self.endpoint = ""

    def commit(self, repository: str) -> str:
        """The commit that a repository is at."""
        return hashlib.sha1(repr(sorted(self.files[repository].items())).encode()).hexdigest()

    def downloads(self) -> list[str]:
        """The paths that were downloaded, in order."""
        return [
            path.partition("/resolve/")[2].partition("/")[2]
            for verb, path in self.requests
            if verb == "GET" and "/resolve/" in path
        ]


@contextmanager
def serving() -> Iterator[StubHub]:
    """A hub that listens on a free port of 127.0.0.1."""
    hub = StubHub()

    class Handler(_Handler):
        stub = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    stub: StubHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""

    def do_POST(self) -> None:
        body = self._body()
        self.stub.requests.append(("POST", self.path))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.stub.files.setdefault(name, {})
            if asked.get("private") or asked.get("visibility") == "private":
                self.stub.private.add(name)
            self._json({"url": f"{self.stub.endpoint}/datasets/{name}"})
        elif found := re.fullmatch(r"/api/(?:datasets|models)/(.+)/preupload/main.*", self.path):
            files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            self._json({"files": [{**one, "shouldIgnore": False, "oid": None} for one in files]})
        elif found := re.fullmatch(r"/api/(?:datasets|models)/(.+)/commit/main.*", self.path):
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    self.stub.files[found[1]][entry["value"]["path"]] = content
            commit = self.stub.commit(found[1])
            url = f"{self.stub.endpoint}/datasets/{found[1]}/commit/{commit}"
            self._json({"commitUrl": url, "commitOid": commit, "success": True})
        else:
            self._json({}, status=200 if self.path == "/api/validate-yaml" else 404)

    def do_GET(self) -> None:
        self._read(with_body=True)

    def do_HEAD(self) -> None:
        self._read(with_body=False)

    def _read(self, *, with_body: bool) -> None:
        self.stub.requests.append((self.command, self.path))
        if found := re.fullmatch(r"/(?:datasets/)?(.+?)/resolve/(\w+)/(.+)", self.path):
            self._file(*found.groups(), with_body=with_body)
        elif (found := re.fullmatch(r"/api/(?:datasets|models)/([^/]+/[^/?]+)(/revision/\w+)?(\?.*)?", self.path)) and (
            found[1] in self.stub.files
        ):
            commit = self.stub.commit(found[1])
            self._json({"id": found[1], "sha": commit, "private": False, "siblings": [], "downloads": 0, "likes": 0})
        else:
            self._json({"error": "Repository not found"}, status=404, headers={"X-Error-Code": "RepoNotFound"})

    def _file(self, repository: str, commit: str, path: str, *, with_body: bool) -> None:
        content = self.stub.files.get(repository, {}).get(path)
        if content is None:
            self._json({"error": "Entry not found"}, status=404, headers={"X-Error-Code": "EntryNotFound"})
            return
        if with_body and path in self.stub.broken:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
