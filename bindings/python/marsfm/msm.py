"""Frames handed back from memory, and the Markov model that they make."""

from __future__ import annotations

import ctypes as c
import os
from dataclasses import dataclass
from typing import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _ffi
from ._ffi import Handle, call
from .session import Topology, _box, _xyz

_LEVELS = {"microstates": 1, "macrostates": 2}


class Trajectory:
    """Frames of one uninterrupted run. Begin a new one after every jump: no transition may be counted
    across it, and the head of a run (``discard_ps``) is not in equilibrium."""

    def __init__(self, topology: Topology, frame_ps: float, discard_ps: float = 0.0,
                 name: str = "") -> None:
        self._handle = Handle("trajectory", lambda out: call(
            "marsfm_trajectory_new", topology._handle.pointer, name.encode(), frame_ps, discard_ps,
            out))

    @classmethod
    def read(cls, topology: Topology, path: str | os.PathLike, frame_ps: float = 0.0,
             discard_ps: float = 0.0) -> Trajectory:
        """The frames of a file; ``frame_ps`` for formats that cannot tell the time."""
        made = cls.__new__(cls)
        made._handle = Handle("trajectory", lambda out: call(
            "marsfm_trajectory_read", topology._handle.pointer, os.fsencode(path), frame_ps,
            discard_ps, out))
        return made

    def append(self, positions_nm: ArrayLike, box_nm: ArrayLike | None = None) -> None:
        """Takes the next frame, which is copied."""
        (xyz, _keep), (box, _also) = _xyz(positions_nm), _box(box_nm)
        call("marsfm_trajectory_append", self._handle.pointer, c.byref(xyz), box)

    def _info(self) -> _ffi.TrajectoryInfo:
        info = _ffi.TrajectoryInfo()
        call("marsfm_trajectory_info", self._handle.pointer, c.byref(info))
        return info

    def __len__(self) -> int:
        """Frames that count: those behind the head."""
        return self._info().n_kept

    @property
    def n_seen(self) -> int:
        """All frames that were taken."""
        return self._info().n_seen


@dataclass(frozen=True)
class Drift:
    """How new frames differ from those that a model was built on; see marsfm_msm_drift_t."""

    frames_before: int
    frames_added: int
    newly_connected: int
    distance_ratio: float
    population_distance: float
    centres_outgrown: bool


def _array(runs: Sequence[Trajectory]) -> c.Array:
    return (c.c_void_p * max(len(runs), 1))(*[run._handle.pointer.value for run in runs])


def _rows(rows: ArrayLike) -> NDArray[np.float64]:
    array = np.ascontiguousarray(rows, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"rows of features are an array (frames, features), not {array.shape}")
    return array


class Msm:
    """A Markov model of one molecule: features, TICA, k-means, PCCA+."""

    def __init__(self, runs: Sequence[Trajectory], tica_lag_ps: float = 0.0,
                 msm_lag_ps: float = 0.0, pair_lag_ps: float = 0.0, n_microstates: int = 0,
                 n_macrostates: int = 0, rng_seed: int = 0,
                 features: str | Sequence[str] = "torsions", feature_plugin: str = "") -> None:
        """Zero means the default: lags of 10 ps, 100 microstates, 10 macrostates. ``features``: one or
        several of torsions, backbone, ca-distances, heavy-distances, contacts, rg-ss, ss8;
        ``feature_plugin``: a featurizer plugin instead of them, ``NAME`` or ``NAME=OPTIONS``."""
        names = features if isinstance(features, str) else ",".join(features)
        options = _ffi.MsmOptions(
            tica_lag_ps=tica_lag_ps, msm_lag_ps=msm_lag_ps, pair_lag_ps=pair_lag_ps,
            n_microstates=n_microstates, n_macrostates=n_macrostates, rng_seed=rng_seed,
            features=None if feature_plugin else names.encode(),
            feature_plugin=feature_plugin.encode() or None)
        self._handle = Handle("msm", lambda out: call(
            "marsfm_msm_build_from_trajectories", _array(runs), len(runs), c.byref(options), out))

    @classmethod
    def from_rows(cls, runs: Sequence[ArrayLike], frame_ps: float, tica_lag_ps: float = 0.0,
                  msm_lag_ps: float = 0.0, pair_lag_ps: float = 0.0, n_microstates: int = 0,
                  n_macrostates: int = 0, rng_seed: int = 0) -> Msm:
        """A model of your own features: an array (frames, features) per run, ``frame_ps`` between
        frames. It has no atoms: states come from :meth:`assign_rows`."""
        arrays = [_rows(run) for run in runs]
        if len({a.shape[1] for a in arrays}) > 1:
            raise ValueError("the runs have different numbers of features")
        pointers = (c.c_void_p * max(len(arrays), 1))(*[a.ctypes.data for a in arrays])
        lengths = (c.c_size_t * max(len(arrays), 1))(*[len(a) for a in arrays])
        options = _ffi.MsmOptions(
            frame_ps=frame_ps, tica_lag_ps=tica_lag_ps, msm_lag_ps=msm_lag_ps,
            pair_lag_ps=pair_lag_ps, n_microstates=n_microstates, n_macrostates=n_macrostates,
            rng_seed=rng_seed)
        width = arrays[0].shape[1] if arrays else 0
        made = cls.__new__(cls)
        made._handle = Handle("msm", lambda out: call(
            "marsfm_msm_build_from_rows", pointers, lengths, len(arrays), width, c.byref(options),
            out))
        return made

    @classmethod
    def load(cls, path: str | os.PathLike, topology: Topology, positions_nm: ArrayLike,
             box_nm: ArrayLike | None = None) -> Msm:
        """A saved model, bound to the caller's atoms; the positions tell what is bonded."""
        (xyz, _keep), (box, _also) = _xyz(positions_nm), _box(box_nm)
        made = cls.__new__(cls)
        made._handle = Handle("msm", lambda out: call(
            "marsfm_msm_load", os.fsencode(path), topology._handle.pointer, c.byref(xyz), box, out))
        return made

    def save(self, path: str | os.PathLike) -> None:
        """Writes a .safetensors file."""
        call("marsfm_msm_save", self._handle.pointer, os.fsencode(path))

    def update(self, runs: Sequence[Trajectory]) -> tuple[Msm, Drift]:
        """A model of the old frames and new runs; projection and centres stay. The old one stays."""
        drift = _ffi.MsmDrift()
        made = Msm.__new__(Msm)
        made._handle = Handle("msm", lambda out: call(
            "marsfm_msm_update", self._handle.pointer, _array(runs), len(runs), c.byref(drift), out))
        return made, Drift(drift.frames_before, drift.frames_added, drift.newly_connected,
                           drift.distance_ratio, drift.population_distance,
                           bool(drift.centres_outgrown))

    def _info(self) -> _ffi.MsmInfo:
        info = _ffi.MsmInfo()
        call("marsfm_msm_info", self._handle.pointer, c.byref(info))
        return info

    @property
    def n_frames(self) -> int:
        return self._info().n_frames

    @property
    def n_microstates(self) -> int:
        return self._info().n_microstates

    @property
    def n_macrostates(self) -> int:
        return self._info().n_macrostates

    @property
    def n_features(self) -> int:
        """Numbers in a row of its features."""
        return self._info().n_features

    def assign(self, positions_nm: ArrayLike, box_nm: ArrayLike | None = None) -> tuple[int, int]:
        """Microstate and macrostate of a frame, from 0; -1 if it belongs to none."""
        (xyz, _keep), (box, _also) = _xyz(positions_nm), _box(box_nm)
        micro, macro = c.c_int32(), c.c_int32()
        call("marsfm_msm_assign", self._handle.pointer, c.byref(xyz), box, c.byref(micro),
             c.byref(macro))
        return micro.value, macro.value

    def assign_rows(self, rows: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Microstate and macrostate of each row of features, from 0; -1 if it belongs to none."""
        array = _rows(rows)
        micro, macro = (np.empty(len(array), dtype=np.int32) for _ in range(2))
        states = [a.ctypes.data_as(c.POINTER(c.c_int32)) for a in (micro, macro)]
        call("marsfm_msm_assign_rows", self._handle.pointer, array.ctypes.data, *array.shape,
             *states)
        return micro, macro

    def _doubles(self, name: str, *what: object) -> NDArray[np.float64]:
        needed = c.c_size_t()
        call(name, self._handle.pointer, *what, None, 0, c.byref(needed))
        out = np.empty(needed.value)
        call(name, self._handle.pointer, *what, out.ctypes.data, out.size, None)
        return out

    def transition_matrix(self) -> NDArray[np.float64]:
        """Between macrostates at the pair lag; rows are from."""
        flat = self._doubles("marsfm_msm_transition_matrix")
        return flat.reshape(int(round(len(flat) ** 0.5)), -1)

    def stationary(self) -> NDArray[np.float64]:
        """Stationary probability of each macrostate."""
        return self._doubles("marsfm_msm_stationary")

    def timescales_ps(self) -> NDArray[np.float64]:
        """Implied timescales, slowest first."""
        return self._doubles("marsfm_msm_timescales")

    def populations(self, level: str = "microstates") -> NDArray[np.float64]:
        """Frames of each state: where MD has been, and where it has not."""
        return self._doubles("marsfm_msm_populations", _LEVELS[level])

    def warnings(self) -> list[str]:
        """What a user should know about the model."""
        return _ffi.text("marsfm_msm_warnings", self._handle).splitlines()
