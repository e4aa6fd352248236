"""Benchmarks: each prints its figures beside what was measured to compare them with, in the same run."""
