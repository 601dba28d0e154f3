"""Waiting for something to become true, with a deadline and a name."""

from testbed.waiting import wait_until

__all__ = ["wait_until"]
