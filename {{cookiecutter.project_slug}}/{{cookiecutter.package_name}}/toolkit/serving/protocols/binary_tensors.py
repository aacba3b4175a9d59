"""The binary tensor data extension of the Open Inference Protocol: values behind the JSON, as their bytes in memory."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ...common.errors import RejectedError
from ...contract.schema import Contract
from ..limits import check_row_count
from .error_text import quote

#: Little-endian, as the extension says.
DTYPES = {
    "BOOL": "<u1",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}


def split(body: bytes, json_bytes: str) -> tuple[bytes, bytes]:
    """Return the JSON of a body, and what is behind it; `json_bytes` is the header that has the size of the JSON."""
    if not json_bytes:
        return body, b""
    if not (json_bytes.isascii() and json_bytes.isdigit()) or int(json_bytes) > len(body):
        text = f"Inference-Header-Content-Length {quote(json_bytes)} is no size within a body of {len(body)} bytes"
        raise RejectedError(400, text)
    return body[: int(json_bytes)], body[int(json_bytes) :]


def fill(tensors: list[Any], binary: bytes, contract: Contract, limit: int) -> None:
    """Give each tensor that has its values in the binary part these values as its data."""
    start = 0
    for tensor in tensors:
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        name = quote(tensor.get("name"))
        if "data" in tensor:
            raise RejectedError(400, f"input {name} has both 'data' and 'binary_data_size'")
        if type(size) is not int or not 0 <= size <= len(binary) - start:
            text = f"input {name} has binary_data_size {quote(size)}; {len(binary) - start} bytes are left"
            raise RejectedError(400, text)
        field = contract.by_name.get(tensor["name"]) if isinstance(tensor.get("name"), str) else None
        most = limit * ((field.length if field else None) or 1)
        tensor["data"] = _values(binary[start : start + size], tensor.get("datatype"), name, most)
        start += size
    if start < len(binary):
        raise RejectedError(400, f"{len(binary) - start} bytes behind the JSON belong to no input")


def _values(data: bytes, kind: Any, name: str, most: int) -> list[Any]:
    if kind == "BYTES":
        return _texts(data, name, most)
    dtype = np.dtype(DTYPES[kind]) if isinstance(kind, str) and kind in DTYPES else None
    if dtype is None or len(data) % dtype.itemsize:
        raise RejectedError(400, f"input {name}: {len(data)} bytes are no values of datatype {quote(kind)}")
    check_row_count(len(data) // dtype.itemsize, most)
    array = np.frombuffer(data, dtype)
    return (array != 0).tolist() if kind == "BOOL" else array.tolist()


def _texts(data: bytes, name: str, most: int) -> list[str]:
    """Return texts, each of which has its size before it, in four bytes."""
    texts: list[str] = []
    start = 0
    while start < len(data):
        end = start + 4 + (struct.unpack_from("<I", data, start)[0] if start + 4 <= len(data) else len(data))
        if end > len(data):
            raise RejectedError(400, f"input {name}: the last text is longer than binary_data_size")
        try:
            texts.append(data[start + 4 : end].decode())
        except UnicodeDecodeError:
            raise RejectedError(400, f"input {name}: text {len(texts)} is not UTF-8") from None
        check_row_count(len(texts), most)
        start = end
    return texts


def encode(array: np.ndarray, kind: str) -> bytes:
    """Return predictions as bytes."""
    if kind != "BYTES":
        return np.ascontiguousarray(array).astype(DTYPES[kind]).tobytes()
    texts = [("" if value is None else str(value)).encode() for value in array.tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
