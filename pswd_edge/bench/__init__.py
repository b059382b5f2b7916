"""Benchmarks: each compares with a bare loop in the same run, since machines are noisy and ratios hold."""
