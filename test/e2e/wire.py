"""The Postgres protocol by hand: for tests that must say exactly which bytes go out, and in which pieces.

It knows nothing of the pooler. Every wait has a deadline; a message is (type, body) with the length already gone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)
CANCEL_CODE = 80877102


class Closed(Exception):
    """The peer closed the connection."""


class ServerError(Exception):
    """An ErrorResponse where the test expected something else."""

    def __init__(self, fields: dict[str, str]):
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')}"
                         + (f" (detail: {fields['D']})" if "D" in fields else ""))
        self.fields = fields
        self.sqlstate = fields.get("C", "")


@dataclass
class Message:
    type: str
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """An ErrorResponse's or NoticeResponse's fields by their letter."""
        assert self.type in "EN", self
        return {part[:1].decode(): part[1:].decode("utf-8", "replace")
                for part in self.body.split(b"\0") if part}

    @property
    def values(self) -> list[bytes | None]:
        """A DataRow's columns."""
        assert self.type == "D", self
        (count,), at, columns = struct.unpack_from("!h", self.body), 2, []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", self.body, at)
            at += 4
            columns.append(None if size < 0 else self.body[at:at + size])
            at += max(size, 0)
        return columns

    @property
    def text(self) -> str:
        """CommandComplete's tag, or the whole body as text."""
        return self.body.rstrip(b"\0").decode("utf-8", "replace")


@dataclass
class Reply:
    """What came back up to and including ReadyForQuery."""
    messages: list[Message] = field(default_factory=list)

    @property
    def types(self) -> str:
        return "".join(message.type for message in self.messages)

    @property
    def rows(self) -> list[list[bytes | None]]:
        return [message.values for message in self.messages if message.type == "D"]

    @property
    def errors(self) -> list[dict[str, str]]:
        return [message.fields for message in self.messages if message.type == "E"]

    @property
    def tags(self) -> list[str]:
        return [message.text for message in self.messages if message.type == "C"]

    @property
    def status(self) -> str:
        """The transaction status of the last ReadyForQuery: I, T or E."""
        return [message for message in self.messages if message.type == "Z"][-1].body.decode()

    def value(self) -> str | None:
        if self.errors:
            raise ServerError(self.errors[0])
        value = self.rows[0][0]
        return None if value is None else value.decode()


# ---- building messages ------------------------------------------------------------------------------------------


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def startup(parameters: dict[str, str], protocol: int = PROTOCOL_3_0) -> bytes:
    """Surrogates stand for bytes that are not UTF-8."""
    body = struct.pack("!i", protocol)
    for key, value in parameters.items():
        body += key.encode() + b"\0" + value.encode(errors="surrogateescape") + b"\0"
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def cancel_request(pid: int, key: bytes) -> bytes:
    return struct.pack("!iii", 12 + len(key), CANCEL_CODE, pid) + key


def query(sql: str) -> bytes:
    return message("Q", sql.encode() + b"\0")


def parse(name: str, sql: str, types: tuple[int, ...] = ()) -> bytes:
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0" + struct.pack("!h", len(types))
                   + b"".join(struct.pack("!I", oid) for oid in types))


def bind(statement: str = "", values: tuple = (), portal: str = "", result_format: int = 0) -> bytes:
    body = portal.encode() + b"\0" + statement.encode() + b"\0" + struct.pack("!hh", 0, len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(raw)) + raw
    return message("B", body + struct.pack("!hh", 1, result_format))


def describe(kind: str, name: str = "") -> bytes:
    return message("D", kind.encode() + name.encode() + b"\0")


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message("E", portal.encode() + b"\0" + struct.pack("!i", rows))


def close(kind: str, name: str = "") -> bytes:
    return message("C", kind.encode() + name.encode() + b"\0")


SYNC = message("S")
FLUSH = message("H")
TERMINATE = message("X")
COPY_DONE = message("c")


def copy_data(raw: bytes) -> bytes:
    return message("d", raw)


def copy_fail(reason: str) -> bytes:
    return message("f", reason.encode() + b"\0")


def md5_answer(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt).hexdigest().encode() + b"\0"


class Scram:
    """SCRAM-SHA-256 as a client; with `binding` (the server certificate's hash) also -PLUS."""

    def __init__(self, password: str, binding: bytes | None = None):
        self.password = password
        self.mechanism = "SCRAM-SHA-256" if binding is None else "SCRAM-SHA-256-PLUS"
        self._gs2 = b"n,," if binding is None else b"p=tls-server-end-point,,"
        self._binding = binding or b""
        self._bare = b"n=,r=" + base64.b64encode(os.urandom(18))
        self.server_signature = b""

    def first(self) -> bytes:
        initial = self._gs2 + self._bare
        return message("p", self.mechanism.encode() + b"\0" + struct.pack("!i", len(initial)) + initial)

    def final(self, server_first: bytes) -> bytes:
        parts = dict(piece.split(b"=", 1) for piece in server_first.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = b"c=" + base64.b64encode(self._gs2 + self._binding) + b",r=" + parts[b"r"]
        whole = self._bare + b"," + server_first + b"," + without_proof
        signature = hmac.digest(hashlib.sha256(client_key).digest(), whole, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), whole, "sha256")
        return message("p", without_proof + b",p=" + base64.b64encode(proof))

    def verify(self, server_final: bytes) -> None:
        assert base64.b64decode(server_final.removeprefix(b"v=")) == self.server_signature, "wrong server signature"


# ---- a connection -----------------------------------------------------------------------------------------------


class Wire:
    """One connection. `timeout` bounds every single wait."""

    def __init__(self, host: str, port: int, timeout: float = 10.0, source: str = ""):
        self.timeout = timeout
        if host.startswith("/"):
            self.socket: socket.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.socket = socket.create_connection((host, port), timeout, (source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = host, port
        self._buffer = bytearray()
        self.parameters: dict[str, str] = {}
        self.greeting: list[Message] = []
        self.pid = 0
        self.key = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # -- bytes

    def send(self, *pieces: bytes) -> None:
        self.socket.sendall(b"".join(pieces))

    def send_in_pieces(self, raw: bytes, size: int, pause: float = 0.0) -> None:
        for at in range(0, len(raw), size):
            self.socket.sendall(raw[at:at + size])
            if pause:
                time.sleep(pause)

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise Closed(f"closed with {bytes(self._buffer)!r} unread")
            self._buffer += piece
        raw = bytes(self._buffer[:count])
        del self._buffer[:count]
        return raw

    def at_end(self, timeout: float | None = None) -> bool:
        """True when the peer has closed (nothing unread); False when bytes come first. Raises on a timeout."""
        if self._buffer:
            return False
        self.socket.settimeout(timeout or self.timeout)
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(self.timeout)
        self._buffer += piece
        return not piece

    def quiet(self, seconds: float) -> bool:
        """True when nothing at all arrives for so long."""
        if self._buffer:
            return False
        self.socket.settimeout(seconds)
        try:
            piece = self.socket.recv(65536)
            self._buffer += piece
            return False
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(self.timeout)

    # -- messages

    def read(self) -> Message:
        head = self.read_exactly(5)
        (size,) = struct.unpack("!i", head[1:])
        assert 4 <= size < 1 << 30, f"length word {size} after type {head[:1]!r}"
        return Message(head[:1].decode("latin-1"), self.read_exactly(size - 4))

    def read_until(self, kinds: str) -> Reply:
        reply = Reply()
        while True:
            try:
                reply.messages.append(self.read())
            except (Closed, ConnectionError):
                # The last words of a connection that was ended tell more than its end.
                if reply.messages and reply.messages[-1].type == "E":
                    raise ServerError(reply.messages[-1].fields) from None
                raise
            if reply.messages[-1].type in kinds:
                return reply

    def reply(self) -> Reply:
        return self.read_until("Z")

    def expect_error(self) -> dict[str, str]:
        """The next message that is no notice, parameter or row must be an error; its fields."""
        while True:
            got = self.read()
            if got.type == "E":
                return got.fields
            assert got.type in "NSKDTCR123", f"expected an error, got {got}"

    def query(self, sql: str) -> Reply:
        self.send(query(sql))
        return self.reply()

    def value(self, sql: str) -> str | None:
        return self.query(sql).value()

    def run(self, sql: str, values: tuple = (), name: str = "") -> Reply:
        """One statement by the extended protocol, Parse to Sync in one write."""
        self.send(parse(name, sql), bind(name, values), describe("P"), execute(), SYNC)
        return self.reply()

    # -- start-up

    def start_tls(self, context: ssl.SSLContext | None = None, server_name: str | None = None,
                  direct: bool = False) -> None:
        if not direct:
            self.send(SSL_REQUEST)
            answer = self.read_exactly(1)
            if answer != b"S":
                raise Closed(f"the server answered {answer!r} to SSLRequest")
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if direct:
            context.set_alpn_protocols(["postgresql"])
        self.socket = context.wrap_socket(self.socket, server_hostname=server_name)

    def login(self, user: str, password: str | None = None, database: str | None = None,
              protocol: int = PROTOCOL_3_0, **parameters: str) -> "Wire":
        """Start-up, whatever login the server asks for, and all up to the first ReadyForQuery."""
        wanted = {"user": user, **({"database": database} if database is not None else {}), **parameters}
        self.send(startup(wanted, protocol))
        self.authenticate(user, password)
        self.finish_greeting()
        return self

    def authenticate(self, user: str, password: str | None) -> None:
        scram: Scram | None = None
        while True:
            got = self.read()
            if got.type == "E":
                raise ServerError(got.fields)
            self.greeting.append(got)
            if got.type != "R":
                assert got.type in "vN", f"unexpected {got} during login"
                continue
            (code,) = struct.unpack_from("!i", got.body)
            if code == 0:
                return
            assert password is not None, f"asked for a password (authentication {code})"
            if code == 3:
                self.send(message("p", password.encode() + b"\0"))
            elif code == 5:
                self.send(message("p", md5_answer(user, password, got.body[4:8])))
            elif code == 10:
                scram = Scram(password)
                self.send(scram.first())
            elif code == 11 and scram:
                self.send(scram.final(got.body[4:]))
            elif code == 12 and scram:
                scram.verify(got.body[4:])
            else:
                raise AssertionError(f"authentication request {code} is not known")

    def finish_greeting(self) -> None:
        while True:
            got = self.read()
            self.greeting.append(got)
            if got.type == "E":
                raise ServerError(got.fields)
            if got.type == "S":
                key, value = got.body[:-1].decode().split("\0", 1)
                self.parameters[key] = value
            elif got.type == "K":
                self.pid, self.key = struct.unpack_from("!i", got.body)[0], got.body[4:]
            elif got.type == "Z":
                return

    def cancel(self) -> None:
        """Sends a CancelRequest for this connection over a second one and waits until that is closed."""
        with Wire(self.host, self.port, self.timeout) as other:
            other.send(cancel_request(self.pid, self.key))
            other.at_end()
