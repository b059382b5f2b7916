"""Fuzz harnesses: a small count in the suite, the whole million by `python -m tests.fuzz.<protocol>`."""
