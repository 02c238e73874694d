# SPDX-License-Identifier: MIT
"""tenon from Python: what a run has left, running pipelines, losses and optimizers on NumPy arrays.

    run = tenon.load("runs/quickstart-1")
    run.results["test.accuracy"], run.parameters["net"]["layers.0.weight"], run.curve("train", "loss")

    host = tenon.Host()
    host.run("quickstart.ini", "train.epochs=5")
    host.result("test.accuracy"), host.tensor("net", "layers.0.weight")

    loss = host.component("loss.cross_entropy", smoothing=0.1)
    value, gradient = loss.value(logits=logits, label=label, gradients=["logits"])
    adam = host.component("optimizer.adam", lr=1e-3)
    adam.step({"w": w, "b": b}, {"w": dw, "b": db})     # w and b change in place

Needs NumPy 1.23 or later; load() needs no tenon, the rest the shared library libtenon: of TENON_LIBRARY, of the build
folder beside this file, or where the system finds it. A host is used by one thread at a time."""
import ctypes
import ctypes.util
import json
import os
import pathlib

import numpy as np

__all__ = ["Component", "Error", "Host", "Run", "load", "read_safetensors"]


class Error(Exception):
    """What tenon says, in its one line."""


# ---- what a run has left ----

_SAFETENSORS = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def read_safetensors(path):
    """{name: array} of a safetensors file, in the file's order."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        arrays = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            if not 8 + length <= begin <= end <= len(data):
                raise ValueError(f"'{name}' lies outside the file")
            values = np.frombuffer(data[begin:end], _SAFETENSORS[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"]).copy()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Error(f"{path}: not a safetensors file that can be read here: {error}") from None
    return arrays


class Run:
    """A run directory. results: {"STAGE.NAME": number}; parameters: {section: {name: array}}; events: the lines of
    metrics.jsonl as dictionaries; outcome: "finished", or why it ended."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        try:
            summary = json.loads((self.directory / "results.json").read_text())
        except OSError as error:
            raise Error(f"{self.directory}: no results of a run: {error.strerror}") from None
        self.name, self.seed, self.outcome = summary["name"], summary["seed"], summary["outcome"]
        self.results = summary["results"]
        self.parameters = {path.stem: read_safetensors(path) for path in sorted((self.directory / "params").glob("*.safetensors"))}
        log = self.directory / "metrics.jsonl"
        self.events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def curve(self, stage, name):
        """Steps and values of a figure that a stage reported."""
        points = [(event["step"], event["scalars"][name]) for event in self.events
                  if event["type"] == "step" and event["stage"] == stage and name in event["scalars"]]
        return np.array([x for x, _ in points], np.int64), np.array([y for _, y in points], np.float64)


def load(directory):
    """The Run in a run directory."""
    return Run(directory)


# ---- libtenon (embed.h), DLPack ----

class _Device(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _Type),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.c_void_p), ("byte_offset", ctypes.c_uint64)]


class _Array(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("name", ctypes.c_char_p), ("value", _Tensor),
                ("gradient", ctypes.c_void_p), ("classes", ctypes.c_int64)]


def _library(path):
    beside = pathlib.Path(__file__).resolve().parent.parent / "build" / "libtenon.so"
    path = path or os.environ.get("TENON_LIBRARY") or (str(beside) if beside.exists() else ctypes.util.find_library("tenon"))
    if not path:
        raise Error("libtenon.so is not found; give its path in TENON_LIBRARY")
    library = ctypes.CDLL(str(path))
    texts, pointer, number = ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p, ctypes.c_uint32
    arrays = ctypes.POINTER(_Array)
    for name, result, arguments in (
        ("open", pointer, [ctypes.c_char_p]), ("close", None, [pointer]), ("error", ctypes.c_char_p, [pointer]),
        ("run", ctypes.c_int32, [pointer, ctypes.c_char_p, texts, number, ctypes.c_char_p]),
        ("result", ctypes.c_double, [pointer, ctypes.c_char_p]),
        ("tensor", pointer, [pointer, ctypes.c_char_p, ctypes.c_char_p]),
        ("tensor_name", ctypes.c_char_p, [pointer, ctypes.c_char_p, number]),
        ("make", pointer, [pointer, ctypes.c_char_p, texts, number]), ("free", None, [pointer]),
        ("loss", ctypes.c_int32, [pointer, arrays, number, ctypes.POINTER(ctypes.c_double)]),
        ("step", ctypes.c_int32, [pointer, arrays, number, ctypes.c_double, ctypes.c_double]),
    ):
        function = getattr(library, "tn_embed_" + name)
        function.restype, function.argtypes = result, arguments
    return library


def _texts(words):
    return (ctypes.c_char_p * max(1, len(words)))(*[word.encode() for word in words])


class _Exported:
    """A managed tensor on its way to numpy.from_dlpack, which calls its deleter in the end."""

    def __init__(self, pointer):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = new(pointer, b"dltensor", None)

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


class Host:
    """Plugins, and the pipeline that ran last. `plugins`: folders to search in front of the built-in one."""

    def __init__(self, plugins=(), library=None):
        self._handle = None
        self._library = _library(library)
        self._handle = self._library.tn_embed_open(":".join(map(str, plugins)).encode() if plugins else None)
        if not self._handle or self._library.tn_embed_error(self._handle):
            self._fail()

    def _fail(self):
        raise Error(self._library.tn_embed_error(self._handle).decode() if self._handle else "out of memory")

    def close(self):
        if self._handle:
            self._library.tn_embed_close(self._handle)
        self._handle = None

    __del__ = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, file, *overrides, directory=None):
        """Checks and runs a pipeline file, in this process; overrides are "section.key=value"."""
        if self._library.tn_embed_run(self._handle, os.fsencode(file), _texts(overrides), len(overrides),
                                      None if directory is None else os.fsencode(directory)) < 0:
            self._fail()

    def result(self, name):
        """The result "STAGE.NAME" of the last run."""
        value = self._library.tn_embed_result(self._handle, name.encode())
        if value != value:
            raise Error(f"the last run has no result '{name}'")
        return value

    def tensor(self, section, name):
        """A parameter after the last run, read-only, without a copy."""
        managed = self._library.tn_embed_tensor(self._handle, section.encode(), name.encode())
        if not managed:
            self._fail()
        return np.from_dlpack(_Exported(managed))

    def parameters(self, section):
        """{name: array} of a section's parameters after the last run, as tensor() gives them."""
        names, name = [], True
        while name:
            name = self._library.tn_embed_tensor_name(self._handle, section.encode(), len(names))
            names += [name.decode()] if name else []
        return {name: self.tensor(section, name) for name in names}

    def component(self, name, sections=None, **settings):
        """A loss or an optimizer, "loss.cross_entropy". settings: its keys; sections: other keys, such as
        {"pipeline.precision": "float64"}."""
        return Component(self, name, {**settings, **(sections or {})})


class Component:
    """A component by itself; made by Host.component."""

    def __init__(self, host, name, settings):
        self._handle = None
        self.host, self.name = host, name
        words = [f"{key}={_word(value)}" for key, value in settings.items()]
        self._handle = host._library.tn_embed_make(host._handle, name.encode(), _texts(words), len(words))
        if not self._handle:
            host._fail()

    def close(self):
        if self._handle and self.host._handle:
            self.host._library.tn_embed_free(self._handle)
        self._handle = None

    __del__ = close

    def value(self, gradients=(), classes=None, **fields):
        """The loss on fields, whose first axis are the samples: a number, and with `gradients`, names of fields, also
        {name: derivative}. Labels are class numbers below the width of `logits`; `classes`, {field: number}, says more."""
        classes = dict(classes or {})
        if "logits" in fields and "label" in fields and np.ndim(fields["logits"]) > 1:
            classes.setdefault("label", max(2, np.shape(fields["logits"])[-1]))
        values = {name: np.ascontiguousarray(value) for name, value in fields.items()}
        into = {name: np.zeros_like(values[name]) for name in gradients}
        arrays, _kept = _arrays(values, into, classes)
        result = ctypes.c_double()
        if self.host._library.tn_embed_loss(self._handle, arrays, len(values), ctypes.byref(result)) < 0:
            self.host._fail()
        return (result.value, into) if gradients else result.value

    def step(self, parameters, gradients, loss=0.0, schedule=1.0):
        """One step of an optimizer: changes the arrays of {name: array} in place. The first step says which parameters
        there are."""
        for name, value in parameters.items():
            if not (isinstance(value, np.ndarray) and value.flags.c_contiguous and value.flags.writeable):
                raise Error(f"'{name}': expected a writeable array in C order, which can change in place")
            if np.shape(gradients[name]) != value.shape:
                raise Error(f"'{name}' is of shape {value.shape}, its gradient of {np.shape(gradients[name])}")
        slopes = {name: np.ascontiguousarray(gradients[name], value.dtype) for name, value in parameters.items()}
        arrays, _kept = _arrays(parameters, slopes, {})
        if self.host._library.tn_embed_step(self._handle, arrays, len(parameters), loss, schedule) < 0:
            self.host._fail()


def _word(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_word, value)) if isinstance(value, (list, tuple)) else str(value)


def _arrays(values, gradients, classes):
    """C arrays that lend the memory of NumPy's, and what must live as long."""
    array, kept = (_Array * max(1, len(values)))(), []
    codes = {"f": 2, "i": 0, "u": 1, "b": 6}
    for item, (name, value) in zip(array, values.items()):
        shape = (ctypes.c_int64 * max(1, value.ndim))(*value.shape)
        kept.append(shape)
        code = codes.get(value.dtype.kind, 255)
        tensor = _Tensor(value.ctypes.data, _Device(1, 0), value.ndim, _Type(code, 8 * value.itemsize % 256, 1), shape, None, 0)
        slope = gradients.get(name)
        item.size, item.name, item.value = ctypes.sizeof(_Array), name.encode(), tensor
        item.gradient, item.classes = None if slope is None else slope.ctypes.data, classes.get(name, 0)
    return array, kept
