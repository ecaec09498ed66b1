"""Thousands of clients in one thread: they log in, ask again and again, and every answer is compared with its question.

    with Swarm() as swarm:
        swarm.add(1000, endpoint.but(user="app.acme"), "acme", every=0.5)
        …
        swarm.of("acme").errors

A client that gets an error, or whose connection ends, writes that down and comes back after a moment if it may.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import random
import resource
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from pooler import Endpoint
from wire import Message, message, query, startup


@dataclass
class Tally:
    """What the clients of one group have seen."""
    clients: int = 0
    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    logins: int = 0
    # (SQLSTATE, message) → how often; a connection that ends without one is ("", "closed").
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)  # the same during log-in
    longest_s: float = 0.0  # from a question to its answer
    seen: Counter[str] = field(default_factory=Counter)  # second column of answers: what the query asked for besides

    def clear(self) -> None:
        """Begins to count anew; who is logged in stays so."""
        self.answers, self.logins, self.longest_s = 0, 0, 0.0
        self.wrong, self.errors, self.refusals, self.seen = [], Counter(), Counter(), Counter()


_salted: dict[tuple[str, bytes, int], bytes] = {}


def _salt(password: str, salt: bytes, rounds: int) -> bytes:
    key = (password, salt, rounds)
    if key not in _salted:
        _salted[key] = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    return _salted[key]


class Member(asyncio.Protocol):
    """One connection of one client, from its start-up to its end."""

    def __init__(self, group: Group, number: int):
        self.group = group
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.is_in = False
        self.asked = 0
        self.asked_at = 0.0
        self.token = ""
        self.error: tuple[str, str] | None = None
        self.rows = 0
        self.timer: asyncio.TimerHandle | None = None

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        target = self.group.endpoint
        self.transport.write(startup({"user": target.user, "database": target.dbname}))  # type: ignore[union-attr]

    def connection_lost(self, error: Exception | None) -> None:
        self.group.left(self, self.error or ("", "closed"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= 5:
            (size,) = struct.unpack_from("!i", self.buffer, at + 1)
            if len(self.buffer) - at < size + 1:
                break
            got = Message(chr(self.buffer[at]), bytes(self.buffer[at + 5:at + 1 + size]))
            at += size + 1
            self.take(got)
        del self.buffer[:at]

    def send(self, raw: bytes) -> None:
        if self.transport is not None:
            self.transport.write(raw)

    # -- messages

    def take(self, got: Message) -> None:
        if got.type == "E":
            self.error = (got.fields.get("C", ""), got.fields.get("M", ""))
        elif got.type == "R":
            self.prove(got)
        elif got.type == "D":
            self.compare(got)
        elif got.type == "Z":
            self.ready()

    def prove(self, got: Message) -> None:
        (code,) = struct.unpack_from("!i", got.body)
        password = self.group.endpoint.password or ""
        if code == 3:
            self.send(message("p", password.encode() + b"\0"))
        elif code == 10:
            self.bare = b"n=,r=" + base64.b64encode(os.urandom(12))
            first = b"n,," + self.bare
            self.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        elif code == 11:
            server_first = got.body[4:]
            parts = dict(piece.split(b"=", 1) for piece in server_first.split(b","))
            salted = _salt(password, base64.b64decode(parts[b"s"]), int(parts[b"i"]))
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            final = b"c=biws,r=" + parts[b"r"]
            whole = self.bare + b"," + server_first + b"," + final
            signature = hmac.digest(hashlib.sha256(client_key).digest(), whole, "sha256")
            proof = bytes(a ^ b for a, b in zip(client_key, signature))
            self.send(message("p", final + b",p=" + base64.b64encode(proof)))

    def compare(self, got: Message) -> None:
        values = got.values
        tally = self.group.tally
        self.rows += 1
        if values[0] != self.token.encode():
            tally.wrong.append(f"asked for {self.token}, got {values}")
        if len(values) > 1:
            tally.seen[(values[1] or b"").decode()] += 1

    def ready(self) -> None:
        tally = self.group.tally
        if not self.is_in:
            self.is_in = True
            tally.clients += 1
            tally.logins += 1
        elif self.error is not None:
            tally.errors[self.error] += 1
            self.error = None
        else:
            tally.answers += 1
            tally.longest_s = max(tally.longest_s, time.monotonic() - self.asked_at)
            if self.rows != 1:
                tally.wrong.append(f"asked for {self.token}, got {self.rows} rows")
        self.asked_at = 0.0
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(self.group.every * random.uniform(0.5, 1.5), self.ask)

    def ask(self) -> None:
        if self.group.is_quiet:
            self.timer = asyncio.get_running_loop().call_later(0.1, self.ask)
            return
        self.asked += 1
        self.rows = 0
        self.token = f"{self.group.name}-{self.number}-{self.asked}"
        self.asked_at = time.monotonic()
        self.send(query(self.group.sql.replace("$token", self.token)))


class Group:
    """Clients that are alike. All but `tally` belongs to the swarm's thread."""

    def __init__(self, swarm: Swarm, name: str, endpoint: Endpoint, every: float, sql: str, comes_back: bool):
        self.swarm, self.name, self.endpoint, self.every, self.sql = swarm, name, endpoint, every, sql
        self.comes_back = comes_back
        self.is_quiet = False
        self.is_over = False
        self.tally = Tally()
        self.members: dict[int, Member] = {}

    def left(self, member: Member, why: tuple[str, str]) -> None:
        if member.timer is not None:
            member.timer.cancel()
        if self.is_over:
            return
        if member.is_in:
            self.tally.clients -= 1
            self.tally.errors[why] += 1
        else:
            self.tally.refusals[why] += 1
        self.members.pop(member.number, None)
        if self.comes_back:
            asyncio.get_running_loop().call_later(random.uniform(0.2, 0.6), self.swarm._open, self, member.number)


class Swarm:
    def __init__(self, connects_at_once: int = 50):
        self._loop = asyncio.new_event_loop()
        self._groups: dict[str, Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(connects_at_once)
        # Each client is a descriptor, and the usual limit is a thousand.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Swarm:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)  # type: ignore[arg-type]

    # -- what tests do

    def add(self, count: int, endpoint: Endpoint, name: str, *, every: float = 0.5, sql: str = "SELECT '$token'",
            comes_back: bool = True, wait: float = 60) -> Tally:
        """Starts `count` clients; returns when all have logged in, or at once if `wait` is 0."""
        group = self._groups[name] = Group(self, name, endpoint, every, sql, comes_back)

        async def start() -> None:
            for number in range(count):
                self._open(group, number)

        self._call(start())
        deadline = time.monotonic() + wait
        while wait and group.tally.clients < count:
            assert time.monotonic() < deadline, f"only {group.tally.clients} of {count}: {group.tally}"
            time.sleep(0.02)
        return group.tally

    def of(self, name: str) -> Tally:
        return self._groups[name].tally

    def change(self, name: str, **changes: object) -> None:
        """Of the group: endpoint (for those who connect from now on), every, sql, comes_back, is_quiet."""
        for key, value in changes.items():
            setattr(self._groups[name], key, value)

    def dismiss(self, name: str) -> None:
        self._call(self._dismiss(self._groups[name]))

    def clear(self, name: str) -> None:
        async def clear() -> None:
            self._groups[name].tally.clear()

        self._call(clear())

    def unanswered(self, name: str) -> float:
        """How long the oldest question without an answer has waited."""
        now = time.monotonic()
        return max((now - member.asked_at for member in list(self._groups[name].members.values()) if member.asked_at),
                   default=0.0)

    # -- in the thread

    def _open(self, group: Group, number: int) -> None:
        task = self._loop.create_task(self._connect(group, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, group: Group, number: int) -> None:
        if group.is_over:
            return
        async with self._gate:
            member = Member(group, number)
            group.members[number] = member
            try:
                await self._loop.create_connection(lambda: member, group.endpoint.host, group.endpoint.port)
            except OSError as error:
                group.left(member, ("", str(error)))

    async def _dismiss(self, group: Group) -> None:
        group.is_over = True
        for member in list(group.members.values()):
            if member.timer is not None:
                member.timer.cancel()
            if member.transport is not None:
                member.transport.abort()

    async def _end(self) -> None:
        for group in self._groups.values():
            await self._dismiss(group)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)
