"""State-to-state jumps for molecular dynamics, over libmarsfm's C interface.

Lengths are nm, times ps, temperatures K. ``marsfm.openmm`` starts OpenMM runs from jumps.

Jump, minimisation and new velocities between pieces of MD do not satisfy detailed balance: this is
a way of starting MD, not of sampling an ensemble. Count each run by itself, without its head, in a
Markov model, and read populations and rates off that.
"""

from ._ffi import MarsfmError, version
from .msm import Drift, Msm, Trajectory
from .session import (Atom, Batch, Job, Model, Sample, SeedVerdict, Session, Topology, Tree)

__all__ = ["Atom", "Batch", "Drift", "Job", "MarsfmError", "Model", "Msm", "Sample", "SeedVerdict",
           "Session", "Topology", "Trajectory", "Tree", "version"]
__version__ = version()
