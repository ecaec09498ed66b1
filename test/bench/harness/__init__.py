"""What the benchmarks and the load test share: processes, subjects, measurements, reports."""
