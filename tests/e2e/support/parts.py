"""Where scripts/test-parts put the real parts."""

from testbed.parts import CHECKOUT, path_of

__all__ = ["CHECKOUT", "MAJORS", "path_of"]

MAJORS = (14, 15, 16, 17, 18)
