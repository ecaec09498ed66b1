"""Servers that are not Postgres: scripted, silent, or sending garbage."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from wire import message

GREETING = (message("R", struct.pack("!i", 0))
            + b"".join(message("S", f"{key}\0{value}\0".encode()) for key, value in {
                "server_version": "15.0", "server_encoding": "UTF8", "client_encoding": "UTF8", "DateStyle": "ISO, MDY",
                "TimeZone": "UTC", "integer_datetimes": "on", "standard_conforming_strings": "on",
                "IntervalStyle": "postgres", "application_name": "", "is_superuser": "off",
                "session_authorization": "app"}.items())
            + message("K", struct.pack("!ii", 4711, 42)) + message("Z", b"I"))


class FakeServer:
    """Accepts on a port and runs `script(socket)` for every connection in a thread; what it was sent is in `received`."""

    def __init__(self, script: Callable[[socket.socket], object]):
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(peer)
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer: socket.socket) -> None:
        peer.settimeout(30)
        try:
            self._script(peer)
        except OSError:
            pass
        finally:
            peer.close()

    def __enter__(self) -> "FakeServer":
        return self

    def __exit__(self, *exception: object) -> None:
        # shutdown() first: close() alone does not wake the thread in accept(), and the port would stay open.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for peer in self._open:
            peer.close()


def read_startup(peer: socket.socket) -> bytes:
    """The start-up packet; SSLRequest and GSSENCRequest are declined."""
    while True:
        head = _exactly(peer, 4)
        body = _exactly(peer, struct.unpack("!i", head)[0] - 4)
        if body[:4] in (struct.pack("!i", 80877103), struct.pack("!i", 80877104)):
            peer.sendall(b"N")
            continue
        return body


def read_message(peer: socket.socket) -> tuple[str, bytes]:
    head = _exactly(peer, 5)
    return head[:1].decode(), _exactly(peer, struct.unpack("!i", head[1:])[0] - 4)


def greet(peer: socket.socket) -> None:
    """Start-up without any authentication."""
    read_startup(peer)
    peer.sendall(GREETING)


def _exactly(peer: socket.socket, count: int) -> bytes:
    raw = b""
    while len(raw) < count:
        piece = peer.recv(count - len(raw))
        if not piece:
            raise ConnectionError("closed")
        raw += piece
    return raw


def error(sqlstate: str, text: str, severity: str = "ERROR") -> bytes:
    return message("E", f"S{severity}\0V{severity}\0C{sqlstate}\0M{text}\0\0".encode())
