"""PyTorch's checkpoint files without PyTorch: tensors and plain values, nothing else.

Such a file is a zip archive: ``NAME/data.pkl``, a pickle whose tensors point at raw numbers in
``NAME/data/KEY``. A pickle can ask for any function to be called. Here only the handful that
rebuild tensors and ordered dictionaries exist; everything else becomes an :class:`Opaque`, whose
code is never looked up, imported or run.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np

#: NumPy's type of each kind of storage. bfloat16 has none: it is read as 16-bit words and widened.
_STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2",
             "BFloat16Storage": "bf16", "LongStorage": "<i8", "IntStorage": "<i4",
             "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
             "BoolStorage": "?"}


class Opaque:
    """Stands for an object of a class that is not rebuilt here. Attributes are kept."""

    kind = "?"

    def __init__(self, *_arguments, **_named):
        pass

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update(state)

    # What a pickle may do to an object besides setting its state.
    def append(self, _value):
        pass

    def extend(self, _values):
        pass

    def __setitem__(self, _key, _value):
        pass

    def __repr__(self):
        return f"<{self.kind}>"


class _Storage:
    """Raw numbers of one archive member, read when first asked for."""

    def __init__(self, archive, member, dtype, count):
        self.archive, self.member, self.dtype, self.count = archive, member, dtype, count
        self._data = None

    def data(self):
        if self._data is None:
            raw = self.archive.read(self.member)
            if self.dtype == "bf16":
                words = np.frombuffer(raw, "<u2").astype("<u4") << 16
                self._data = words.view("<f4")
            else:
                self._data = np.frombuffer(raw, self.dtype)
            if len(self._data) < self.count:
                raise ValueError(f"{self.member}: {len(self._data)} numbers, expected {self.count}")
        return self._data


class Tensor:
    """A tensor of a file; :meth:`numpy` reads its numbers."""

    def __init__(self, storage, offset, shape, stride):
        self._storage, self._offset = storage, int(offset)
        self.shape, self._stride = tuple(shape), tuple(stride)

    def numpy(self):
        data = self._storage.data()
        last = self._offset + sum((n - 1) * s for n, s in zip(self.shape, self._stride))
        if 0 in self.shape:
            return np.zeros(self.shape, data.dtype)
        if self._offset < 0 or min(self._stride, default=0) < 0 or last >= len(data):
            raise ValueError(f"{self._storage.member}: a tensor reaches beyond its numbers")
        steps = [s * data.itemsize for s in self._stride]
        return np.lib.stride_tricks.as_strided(data[self._offset:], self.shape, steps).copy()


def _rebuild_tensor(storage, offset, shape, stride, *_rest):
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without numbers")
    return Tensor(storage, offset, shape, stride)


class _Reader(pickle.Unpickler):
    def __init__(self, file, archive, root):
        super().__init__(file)
        self._archive, self._root, self._storages = archive, root, {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_rest: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return type(name, (Opaque,), {"kind": f"{module}.{name}"})

    def persistent_load(self, identity):
        _, dtype, key, _, count = identity
        if not isinstance(dtype, str):
            raise ValueError(f"numbers of the unknown type {dtype}")
        if key not in self._storages:
            member = f"{self._root}/data/{key}"
            self._storages[key] = _Storage(self._archive, member, dtype, int(count))
        return self._storages[key]


def read(path):
    """What ``torch.save`` stored in ``path``: dictionaries, lists, plain values and
    :class:`Tensor`; objects of other classes are :class:`Opaque`. ``ValueError`` if it is no such
    file."""
    try:
        archive = zipfile.ZipFile(path)
        members = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        if len(members) != 1:
            raise ValueError("no data.pkl in the archive")
        with archive.open(members[0]) as file:
            return _Reader(file, archive, members[0][: -len("/data.pkl")]).load()
    except OSError:
        raise
    except zipfile.BadZipFile:
        raise ValueError(f"{path}: no PyTorch checkpoint of the zip form (1.6 and newer); a legacy "
                         "one has to be loaded and saved again by PyTorch itself") from None
    except Exception as error:  # a pickle that makes no sense can fail in any way
        raise ValueError(f"{path}: cannot be read as a PyTorch checkpoint: {error}") from None


class _Writer:
    """Pickles dictionaries, lists, plain values, f32 arrays and namespaces, protocol 2."""

    def __init__(self):
        self.out, self.arrays = bytearray(b"\x80\x02"), []

    def _global(self, module, name):
        self.out += f"c{module}\n{name}\n".encode()

    def put(self, value):
        out = self.out
        if value is None:
            out += b"N"
        elif isinstance(value, bool):
            out += b"\x88" if value else b"\x89"
        elif isinstance(value, int):
            digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            out += b"\x8a" + bytes([len(digits)]) + digits
        elif isinstance(value, float):
            out += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            text = value.encode()
            out += b"X" + struct.pack("<I", len(text)) + text
        elif isinstance(value, (list, tuple)):
            out += b"(" if isinstance(value, tuple) else b"]("
            for item in value:
                self.put(item)
            out += b"t" if isinstance(value, tuple) else b"e"
        elif isinstance(value, dict):
            if isinstance(value, OrderedDict):
                self._global("collections", "OrderedDict")
                out += b")R("
            else:
                out += b"}("
            for key, item in value.items():
                self.put(key)
                self.put(item)
            out += b"u"
        elif isinstance(value, np.ndarray):
            self._tensor(np.array(value, "<f4", order="C"))
        else:  # an argparse.Namespace
            self._global(type(value).__module__, type(value).__qualname__)
            out += b")\x81"
            self.put(vars(value))
            out += b"b"

    def _tensor(self, array):
        stride, steps = [], 1
        for n in reversed(array.shape):
            stride.insert(0, steps)
            steps *= n
        self._global("torch._utils", "_rebuild_tensor_v2")
        self.out += b"(("
        self.put("storage")
        self._global("torch", "FloatStorage")
        for item in (str(len(self.arrays)), "cpu", array.size):
            self.put(item)
        self.out += b"tQ"
        for item in (0, array.shape, tuple(stride), False, OrderedDict()):
            self.put(item)
        self.out += b"tR"
        self.arrays.append(array)


def write(path, value):
    """Stores dictionaries, lists, plain values, NumPy arrays (as f32 tensors) and namespaces so
    that ``torch.load`` reads them."""
    writer = _Writer()
    writer.put(value)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", bytes(writer.out + b"."))
        for key, array in enumerate(writer.arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")
