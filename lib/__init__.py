"""Helpers for the course on memorization in learned priors; import the modules you need, one by one."""

__version__ = "0.1.0"
