"""One measurement: a run of the load generator, the proxy's CPU time and its system calls."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

from . import report
from .lab import Unusable, program

SYSCALLS = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "recvfrom", "sendto", "recvmsg", "sendmsg", "read",
            "write", "writev", "io_uring_enter"]


def command_line(options):
    """{"first_client": 3, "tls": True, "rate": None} as --first-client 3 --tls."""
    arguments = []
    for name, value in options.items():
        name = "--" + name.replace("_", "-")
        if value is True:
            arguments.append(name)
        elif value not in (None, False):
            arguments += [name, value]
    return arguments


class LoadRun:
    """A running load generator; its events come one by one, the last is the result."""

    def __init__(self, lab, subject, *, idle=False, threads=None, **options):
        arguments = [program("loadgen"), "--target", subject.address.text]
        if subject.pid is not None:
            arguments += ["--watch", subject.pid]
        threads = threads or lab.cores.load_threads
        arguments += command_line({"threads": threads, **subject.load, **options})
        command = lab.command(arguments, cpus=lab.cores.others)
        self.pid = subject.pid
        self.process = subprocess.Popen(
            ["chrt", "--idle", "0", *command] if idle else command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        lab.processes.append((self.process, signal.SIGTERM))
        self.lab = lab

    def wait_for(self, event):
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("event") == event:
                return message
            if "event" not in message:
                raise Unusable(f"loadgen gave up: {message['errors']}")
        raise Unusable(f"loadgen ended: {self.process.stderr.read().strip()[-300:]}")

    def go_on(self):
        """A line of standard input: the end of --hold, or of --until-line."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        """What it found, with the subject's CPU time per query in `cpu_us`."""
        self.process.stdin.close()
        lines = self.process.stdout.read().splitlines()
        code = self.process.wait()
        self.lab.processes.remove((self.process, signal.SIGTERM))
        if code == 2 or not lines:
            detail = json.loads(lines[-1])["errors"] if lines else self.process.stderr.read().strip()[-300:]
            raise Unusable(f"loadgen could not measure: {detail}")
        result = json.loads(lines[-1])
        cpu_ns = result.pop("cpu_ns").get(str(self.pid))
        if cpu_ns is not None:
            result["cpu_s"] = cpu_ns / 1e9
            result["cpu_us"] = cpu_ns / 1000 / result["queries"] if result["queries"] else None
            result["cpu_share"] = cpu_ns / 1e9 / result["seconds"]
        return result


def run_load(lab, subject, **options):
    result = LoadRun(lab, subject, **options).result()
    result.pop("histogram_ns", None)
    return result


def parse_perf(text):
    """Counts by event, from `perf stat -x,`."""
    counts = {}
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].replace(".", "").isdigit():
            counts[fields[2]] = counts.get(fields[2], 0) + float(fields[0])
    return counts


def syscalls_per_query(lab, subject, seconds=1.0, **options):
    """{"total": …, "recvfrom": …}, counted by perf over a whole load, which it slows down a little."""
    if shutil.which("perf") is None:
        return syscalls_by_strace(lab, subject, seconds, **options)
    run = LoadRun(lab, subject, seconds=seconds, warmup=0, hold=True, **options)
    run.wait_for("connected")
    command = ["perf", "stat", "-x,", "-p", str(subject.pid), "-e", "raw_syscalls:sys_enter"]
    for name in SYSCALLS:
        command += ["-e", f"syscalls:sys_enter_{name}"]
    perf = subprocess.Popen(lab.command(command, cpus=lab.cores.others), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)
    time.sleep(0.4)  # until perf counts
    result = run.result()
    perf.send_signal(signal.SIGINT)
    try:
        counts = parse_perf(perf.communicate(timeout=60)[1])
    except subprocess.TimeoutExpired:
        perf.kill()
        raise Unusable("perf does not end") from None
    if "raw_syscalls:sys_enter" not in counts:
        return syscalls_by_strace(lab, subject, seconds, **options)
    queries = result["queries"] + result["queries_outside"]
    per_query = {name.split("sys_enter_")[-1]: count / queries for name, count in counts.items()}
    per_query["total"] = per_query.pop("raw_syscalls:sys_enter")
    return {name: round(value, 3) for name, value in per_query.items() if value >= 0.005}


def syscalls_by_strace(lab, subject, seconds, **options):
    """The same where perf may not count: strace stops the proxy at each call, so batches become smaller than they are."""
    if shutil.which("strace") is None:
        return None
    log = lab.folder / "strace.out"
    run = LoadRun(lab, subject, seconds=seconds, warmup=0, hold=True, **options)
    run.wait_for("connected")
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(log), "-p", str(subject.pid)], stderr=subprocess.DEVNULL)
    time.sleep(0.4)
    result = run.result()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    total = 0
    per_query = {}
    queries = result["queries"] + result["queries_outside"]
    for line in log.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            per_query[fields[-1]] = round(int(fields[3]) / queries, 3)
            total += int(fields[3])
    return {"total": round(total / queries, 3), **{k: v for k, v in per_query.items() if v >= 0.005}, "by": "strace"}


def sends_per_batch(lab, subject, server, *, pipeline, seconds=0.7, **options):
    """(towards clients, towards the server): TCP segments with data per batch, as both ends' kernels count them.

    On loopback a send of up to 64 KiB is one segment, whichever call made it.
    """
    run = LoadRun(lab, subject, seconds=seconds, warmup=0, hold=True, segments=True, pipeline=pipeline, **options)
    run.wait_for("connected")
    before = server.stats()
    result = run.result()
    after = server.stats()
    batches = (result["queries"] + result["queries_outside"]) / pipeline
    return {"to_client": result["segments_in"] / batches,
            "to_server": (after["segments_in"] - before["segments_in"]) / batches}


def cpu_seconds(pid):
    """Time on a CPU of all threads that the process has now, from the scheduler's account."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory(pid):
    """Bytes of a process: all that is resident, and its share of what it shares (PSS)."""
    fields = {}
    for line in report.lines(f"/proc/{pid}/smaps_rollup"):
        words = line.split()
        if words[0] in ("Rss:", "Pss:", "Private_Dirty:"):
            fields[words[0][:-1].lower()] = int(words[1]) * 1024
    return fields


def rss_bytes(pid):
    return memory(pid)["rss"]


def kernel_memory():
    """Bytes the whole machine's kernel holds: slabs (sockets, files, epoll and io_uring items), and TCP's buffers."""
    kernel = {}
    for line in report.lines("/proc/meminfo"):
        name, value = line.split()[:2]
        if name in ("Slab:", "SUnreclaim:", "MemAvailable:"):
            kernel[name[:-1].lower()] = int(value) * 1024
    for line in report.lines("/proc/net/sockstat"):
        words = line.split()
        if words[0] == "TCP:":
            fields = dict(zip(words[1::2], map(int, words[2::2])))
            kernel.update(tcp_sockets=fields["inuse"], tcp_buffers=fields["mem"] * 4096)
    return kernel
