#!/usr/bin/env python3
"""Benchmarks of Penstock: `./dev bench NAME [options]`, or python3 test/bench/bench.py NAME [options]."""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "load")]

from harness.lab import Unusable  # noqa: E402

BENCHMARKS = {
    "query": ("query", "CPU, throughput, latency and calls of a query: Penstock, PgBouncer and raw relays side by side"),
    "bulk": ("bulk", "CPU per gigabyte: COPY both ways and SELECT; memory and neighbours of slow readers"),
    "idle": ("idle", "memory per idle client, up to 250,000 in one process and a million on this machine"),
    "login": ("login", "logins per second and CPU per login; queries during a storm of reconnects"),
    "tenants": ("tenants", "cost per query and memory with 1, 1,000 and 10,000 idle pools; start of a cold pool"),
    "scrape": ("scrape", "a scrape of the metrics of 1, 1,000 and 10,000 tenants, and what queries notice of it"),
    "checkout": ("checkout", "the ledger and the check-out of a pool alone, 1 to 16 threads"),
    "load": ("load", "many clients doing everything at once, with kills and cancels; any wrong byte fails"),
}


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "help"
    if name not in BENCHMARKS:
        print("usage: ./dev bench NAME [options]; ./dev bench NAME --help\n")
        for known, (_, what) in BENCHMARKS.items():
            print(f"  {known:10} {what}")
        return 0 if name in ("help", "-h", "--help") else 2
    try:
        return importlib.import_module(BENCHMARKS[name][0]).main(sys.argv[2:])
    except Unusable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
