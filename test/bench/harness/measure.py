"""One measurement: a run of the load generator, the proxy's CPU time, system calls and memory."""

import json
import shutil
import signal
import subprocess
import time

from .lab import Unusable, program

SYSCALLS = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "recvfrom", "sendto", "recvmsg", "sendmsg", "read",
            "write", "writev", "io_uring_enter"]


class LoadRun:
    """A running load generator; its events come one by one, the last is the result."""

    def __init__(self, lab, port, *, pid=None, **options):
        arguments = [program("loadgen"), "--target", f"127.0.0.1:{port}"]
        if pid is not None:
            arguments += ["--watch", pid]
        for name, value in options.items():
            name = "--" + name.replace("_", "-")
            if value is True:
                arguments.append(name)
            elif value not in (None, False):
                arguments += [name, value]
        self.process = subprocess.Popen(
            lab.command(arguments, cpus=lab.cores.others),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def wait_for(self, event):
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("event") == event:
                return message
            if "event" not in message:
                raise Unusable(f"loadgen gave up: {message['errors']}")
        raise Unusable(f"loadgen ended: {self.process.stderr.read().strip()[-300:]}")

    def go_on(self):
        self.process.stdin.close()

    def result(self):
        lines = self.process.stdout.read().splitlines()
        code = self.process.wait()
        if code == 2 or not lines:
            detail = json.loads(lines[-1])["errors"] if lines else self.process.stderr.read().strip()[-300:]
            raise Unusable(f"loadgen could not measure: {detail}")
        return json.loads(lines[-1])


def run_load(lab, subject, **options):
    """What loadgen found, with the proxy's CPU time per query in `cpu_us`."""
    result = LoadRun(lab, subject.port, pid=subject.pid, **options).result()
    result.pop("histogram_ns", None)
    cpu_ns = result.pop("cpu_ns").get(str(subject.pid), 0)
    result["cpu_us"] = cpu_ns / 1000 / result["queries"] if result["queries"] else None
    result["cpu_share"] = cpu_ns / 1e9 / result["seconds"]
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
    run = LoadRun(lab, subject.port, seconds=seconds, warmup=0, hold=True, **options)
    run.wait_for("connected")
    command = ["perf", "stat", "-x,", "-p", str(subject.pid), "-e", "raw_syscalls:sys_enter"]
    for name in SYSCALLS:
        command += ["-e", f"syscalls:sys_enter_{name}"]
    perf = subprocess.Popen(lab.command(command, cpus=lab.cores.others), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)
    time.sleep(0.4)  # until perf counts
    run.go_on()
    result = run.result()
    perf.send_signal(signal.SIGINT)
    counts = parse_perf(perf.communicate(timeout=20)[1])
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
    run = LoadRun(lab, subject.port, seconds=seconds, warmup=0, hold=True, **options)
    run.wait_for("connected")
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(log), "-p", str(subject.pid)], stderr=subprocess.DEVNULL)
    time.sleep(0.4)
    run.go_on()
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


def rss_bytes(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise Unusable(f"no memory figure for process {pid}")


def idle_memory(lab, subject, clients):
    """Bytes of the proxy's own memory per idle client that has logged in and asked once."""
    LoadRun(lab, subject.port, clients=8, greet=True, seconds=0.2).result()  # pools and caches are there from now on
    before = rss_bytes(subject.pid)
    run = LoadRun(lab, subject.port, clients=clients, greet=True, hold=True, seconds=0)
    run.wait_for("connected")
    time.sleep(0.5)
    after = rss_bytes(subject.pid)
    run.go_on()
    run.result()
    return {"clients": clients, "before": before, "after": after, "per_client": (after - before) / clients}
