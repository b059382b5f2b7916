"""Drivers: one protocol each, found by entry point."""
