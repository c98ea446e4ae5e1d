"""uncertainties, which imports numpy: 70 ms and more of import beside a call of a few milliseconds."""

import numpy
from uncertainties import unumpy


def setup(seed):
    """Two arrays of numbers with errors."""
    rng = numpy.random.default_rng(seed)
    return [unumpy.uarray(rng.random(150) + 1, rng.random(150) / 10) for _ in range(2)]


def experiment(state):
    """Their quotient's nominal values and errors."""
    found = state[0] / state[1] + unumpy.sqrt(state[0])
    return unumpy.nominal_values(found), unumpy.std_devs(found)


def check_equivalence(reference, candidate):
    """Equal to rounding."""
    for one, other in zip(reference, candidate, strict=True):
        assert numpy.allclose(one, other, rtol=1e-12)
