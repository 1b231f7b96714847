"""An ONNX graph from elsewhere, opened with care: what makes what, and the constants that lie in the file itself.

A tensor may name a file of its own (`external_data`), anywhere on the disk: it is not opened. A tensor may claim any
shape: it must have as many numbers as that before an array is made of it.
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
"""Where tensors of float, double, half, int64 and int32 keep their numbers if not as bytes, and bytes of a number."""
_PASSING_ZEROS = {"Expand", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Cast", "Transpose", "Gather"}
_LONGEST_CHAIN = 100


class Graph:
    """The graph of a model.

    Args:
        model: the model, as onnx parses it.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self.inputs = {one.name: one for one in model.graph.input if one.name not in self._tensors}
        if not model.graph.output:
            raise Refused("it has no outputs")
        self.first_output: str = model.graph.output[0].name

    def maker(self, name: str) -> Any:
        """The node that makes a value, or None."""
        return self._makers.get(name)

    def attributes(self, node: Any) -> dict[str, Any]:
        """A node's attributes as values; those that are tensors or graphs are left as they are."""
        import onnx

        return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}

    def constant(self, name: str) -> np.ndarray | None:
        """The array behind a name, or None where it is computed.

        Raises:
            Refused: it claims more than it has, or lies elsewhere.
        """
        node = self.maker(name)
        if name in self._tensors:
            return _array(self._tensors[name])
        if node is not None and node.op_type == "Constant":
            value = self.attributes(node).get("value")
            return None if value is None else _array(value)
        return None

    def is_zero(self, name: str) -> bool:
        """Whether a value is zeros whatever the input, or an input itself, which is zeros where a sequence begins."""
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
                return value is None or not _array(value).any()
            if node.op_type not in _PASSING_ZEROS:
                return False
            name = node.input[0]
        return False


def opened(path: Path) -> Graph:
    """The graph in a file.

    Raises:
        UsageError: onnx is not installed.
        Refused: the file is too large, or no ONNX.
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
    return Graph(model)


def _array(tensor: Any) -> np.ndarray:
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise Refused(f"{tensor.name!r} lies in another file, which is not opened; save the model with its data inside")
    if tensor.data_type not in _FIELDS:
        raise Refused(f"{tensor.name!r} is of data type {tensor.data_type}, expected floats or integers")
    place, item = _FIELDS[tensor.data_type]
    count = math.prod(tensor.dims)
    has = len(tensor.raw_data) / item if tensor.HasField("raw_data") else len(getattr(tensor, place))
    if count != has or any(side < 0 for side in tensor.dims):
        raise Refused(f"{tensor.name!r} claims shape {tuple(tensor.dims)}, {count:,} numbers, but has {has:,.0f}")
    return onnx.numpy_helper.to_array(tensor)
