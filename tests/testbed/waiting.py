"""Waiting for something to become true, with a deadline and a name. Nothing here sleeps and hopes."""

import time


def wait_until(is_true, what: str, seconds: float = 20.0, every: float = 0.02):
    """Asks is_true() until it answers something true, and returns that; a deadline that passes is an error."""
    deadline = time.monotonic() + seconds
    while True:
        answer = is_true()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s still not true: {what}")
        time.sleep(every)
