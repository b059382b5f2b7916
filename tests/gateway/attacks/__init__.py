"""Attacks: what each does is a test, and a row of docs/security.md."""
