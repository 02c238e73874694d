# SPDX-License-Identifier: MIT
"""Reader and writer of safetensors files, by the specification (huggingface/safetensors, README "Format"): the
length of a JSON header in 8 bytes, the header, the values; offsets count behind the header. Written apart from
core/tensor/safetensors.c, so that each checks the other. The reference package is used where there is one."""
import json
import struct

import numpy

TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


def load(path):
    try:
        from safetensors.numpy import load_file
        return load_file(path)
    except ImportError:
        pass
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: numpy.frombuffer(data[slice(*item["data_offsets"])], TYPES[item["dtype"]]).reshape(item["shape"])
            for name, item in header.items()}


def save(path, tensors):
    try:
        from safetensors.numpy import save_file
        return save_file(tensors, path)
    except ImportError:
        pass
    header, data = {}, b""
    for name, value in tensors.items():
        kind = next(k for k, t in TYPES.items() if numpy.dtype(t) == value.dtype)
        values = numpy.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
