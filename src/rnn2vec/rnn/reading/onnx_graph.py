"""An ONNX graph from elsewhere, opened with care: its nodes, and its constants.

A tensor may name a file of its own (`external_data`), anywhere on the disk: only plain files beside the graph's own are
read. A tensor may claim any shape: it must have as many numbers as that before an array is made of it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from rnn2vec._errors import UsageError
from rnn2vec.rnn.reading.untrusted import Refused, require_moderate

_FIELDS = {
    1: ("float_data", 4),
    11: ("double_data", 8),
    10: ("int32_data", 2),
    7: ("int64_data", 8),
    6: ("int32_data", 4),
}
"""Fields in which tensors of float, double, half, int64 and int32 keep numbers if not as bytes; bytes of a number."""
_NUMBERS = {1: "<f4", 11: "<f8", 10: "<f2", 7: "<i8", 6: "<i4"}
_PASSING_ZEROS = {"Expand", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Cast", "Transpose", "Gather"}
_LONGEST_CHAIN = 100


class Graph:
    """The graph of a model.

    Args:
        model: the model, as onnx parses it.
        folder: folder of its file, in which further files of weights may be.
    """

    def __init__(self, model: Any, folder: Path) -> None:
        self.model = model
        self._folder = folder
        self.nodes = list(model.graph.node)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self.inputs = {one.name: one for one in model.graph.input if one.name not in self._tensors}
        if not model.graph.output:
            raise Refused("it has no outputs")
        self.outputs: list[str] = [one.name for one in model.graph.output]

    def maker(self, name: str) -> Any:
        """Return the node that makes a value, or None."""
        return self._makers.get(name)

    def attributes(self, node: Any) -> dict[str, Any]:
        """Return a node's attributes as values; those that are tensors or graphs are left as they are."""
        import onnx

        return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}

    def constant(self, name: str) -> np.ndarray | None:
        """Return the array behind a name, or None where it is computed.

        Raises:
            Refused: if it claims more than it has, or lies in another folder.
        """
        node = self.maker(name)
        if name in self._tensors:
            return _array(self._tensors[name], self._folder)
        if node is not None and node.op_type == "Constant":
            value = self.attributes(node).get("value")
            return None if value is None else _array(value, self._folder)
        return None

    def is_zero(self, name: str) -> bool:
        """Return True if a value is always zeros, or an input, which is zeros where a sequence begins."""
        for _ in range(_LONGEST_CHAIN):
            array, node = self.constant(name), self.maker(name)
            if array is not None:
                return not array.any()
            if name in self.inputs:
                return True
            if node is None:
                return False
            if node.op_type == "ConstantOfShape":
                value = self.attributes(node).get("value")
                return value is None or not _array(value, self._folder).any()
            if node.op_type not in _PASSING_ZEROS:
                return False
            name = node.input[0]
        return False


def opened(path: Path) -> Graph:
    """Return the graph in a file.

    Raises:
        UsageError: if onnx is not installed.
        Refused: if the file is too large, or no ONNX.
    """
    require_moderate(path.stat().st_size)
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UsageError("ONNX files need onnx", remedy="pip install 'rnn2vec[onnx]'.") from error
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError, RuntimeError) as error:
        raise Refused(f"it is no ONNX model ({error})") from error
    return Graph(model, path.parent)


def _array(tensor: Any, folder: Path) -> np.ndarray:
    """Return the numbers of a tensor, from the graph's file or from one beside it."""
    import onnx

    if tensor.data_type not in _FIELDS:
        raise Refused(f"{tensor.name!r} is of data type {tensor.data_type}, expected floats or integers")
    place, item = _FIELDS[tensor.data_type]
    count = math.prod(tensor.dims)
    if any(side < 0 for side in tensor.dims):
        raise Refused(f"{tensor.name!r} claims shape {tuple(tensor.dims)}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        return np.frombuffer(_external(tensor, folder, count * item), _NUMBERS[tensor.data_type]).reshape(tensor.dims)
    has = len(tensor.raw_data) / item if tensor.HasField("raw_data") else len(getattr(tensor, place))
    if count != has:
        raise Refused(f"{tensor.name!r} claims shape {tuple(tensor.dims)}, {count:,} numbers, but has {has:,.0f}")
    return onnx.numpy_helper.to_array(tensor)


def _external(tensor: Any, folder: Path, size: int) -> bytes:
    """Return the bytes of a tensor in a file beside the graph's, and nowhere else.

    Raises:
        Refused: if the file lies elsewhere, is a link, or does not cover the tensor.
    """
    entries = {one.key: one.value for one in tensor.external_data}
    name = entries.get("location", "")
    file = folder / name
    if not name or name in {".", ".."} or Path(name).name != name or "\\" in name or "\0" in name or file.is_symlink():
        raise Refused(f"{tensor.name!r} lies in {name!r}; only files beside the graph's are read, and no links")
    if not file.is_file():
        raise Refused(f"{tensor.name!r} lies in {name!r}, which is not there; keep both files in one folder")
    try:
        offset, length = (int(entries.get(key, default)) for key, default in (("offset", 0), ("length", size)))
    except ValueError as error:
        raise Refused(f"{tensor.name!r} lies at {entries}, which are no numbers") from error
    whole = file.stat().st_size
    require_moderate(whole)
    if length != size or not 0 <= offset <= whole - size:
        raise Refused(f"{tensor.name!r} claims {length:,} bytes at {offset:,} of {whole:,} in {name!r}, needs {size:,}")
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(size)
