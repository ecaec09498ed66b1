"""A lab: a folder and the processes of one benchmark, all gone when it ends, however it ends."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
BUILD_DIR = Path(os.environ.get("PENSTOCK_BUILD_DIR", REPOSITORY / "build" / "release"))


class Unusable(Exception):
    """A subject or a step cannot be had on this machine; the text says why, in one line."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def program(name):
    """The path of one of our own benchmark programs."""
    path = BUILD_DIR / "test" / "bench" / name
    if not path.exists():
        path = BUILD_DIR / "test" / "load" / name
    if not path.exists():
        raise Unusable(f"{name} is not built (target {name} in {BUILD_DIR})")
    return str(path)


def build_programs(target="bench_programs"):
    if not (BUILD_DIR / "build.ninja").exists():
        raise Unusable(f"{BUILD_DIR} is not configured: cmake --preset release")
    jobs = os.environ.get("PENSTOCK_JOBS", str(os.cpu_count()))
    built = subprocess.run(
        ["cmake", "--build", str(BUILD_DIR), "--target", target, "-j", jobs], capture_output=True, text=True
    )
    if built.returncode != 0:
        raise Unusable(f"building {target} failed:\n{built.stdout[-2000:]}{built.stderr[-2000:]}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unprivileged_user():
    """Who runs what refuses to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unusable("no user but root to run Postgres as")


class Cores:
    """Which CPUs are for what is measured and which for everything else."""

    def __init__(self, proxy=None, others=None, subject_cpus=1):
        available = sorted(os.sched_getaffinity(0))
        if proxy is None and len(available) >= 2 * subject_cpus:
            proxy = ",".join(map(str, available[:subject_cpus]))
            others = ",".join(map(str, available[subject_cpus:]))
        self.proxy = proxy or None  # empty: no pinning
        self.others = others or None
        # As many as leave the server as much as the load.
        self.load_threads = max(1, min(4, len(available) - subject_cpus) // 2) if self.others else 1

    def describe(self):
        if self.proxy is None:
            return "not pinned"
        return f"proxy on CPU {self.proxy}, load and server on CPU {self.others}"


class Lab:
    def __init__(self, cores):
        self.cores = cores
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-bench."))
        self.folder.chmod(0o755)
        self.processes = []

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(130))
        return self

    def __exit__(self, *_):
        for process, how in reversed(self.processes):
            stop(process, how)
        shutil.rmtree(self.folder, ignore_errors=True)

    def subfolder(self, name, user=None):
        path = self.folder / name
        path.mkdir(exist_ok=True)
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def command(self, arguments, *, cpus=None, user=None):
        """The command line that runs `arguments` on these CPUs, as this user, and that dies with us."""
        line = ["setpriv", "--pdeathsig", "TERM"]
        if user is not None:
            line += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if cpus is not None:
            line += ["taskset", "-c", cpus]
        return line + [str(argument) for argument in arguments]

    def start(self, name, arguments, *, cpus=None, user=None, how=signal.SIGTERM, cwd=None):
        log = self.folder / f"{name}.log"
        with open(log, "ab") as out:
            process = subprocess.Popen(
                self.command(arguments, cpus=cpus, user=user),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd or "/",
            )
        process.log = log
        self.processes.append((process, how))
        return process

    def stop(self, process):
        for entry in self.processes:
            if entry[0] is process:
                self.processes.remove(entry)
                stop(*entry)
                return


def stop(process, how, patience=10):
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_port(port, process, patience=60):
    wait_for_address(f"127.0.0.1:{port}", process, patience)


def wait_for_address(text, process, patience=60):
    """Until the process listens at host:port, or at the path of a Unix socket."""
    is_path = text.startswith("/")
    where = text if is_path else (text.split(":")[0], int(text.split(":")[1]))
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Unusable(f"ended at once: {tail(process.log)}")
        with socket.socket(socket.AF_UNIX if is_path else socket.AF_INET) as probe:
            try:
                probe.connect(where)
                return
            except OSError:
                time.sleep(0.05)
    raise Unusable(f"does not listen at {text}: {tail(process.log)}")


def tail(path, characters=600):
    text = Path(path).read_text(errors="replace").strip()
    return text[-characters:]
