"""rnn2vec: recurrent neural networks as vectors that say what the networks do.

The public page: every public name, loaded when it is first used, so that `import rnn2vec` takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnn2vec import encoders, tasks
    from rnn2vec._errors import DataError, Rnn2VecError, StorageError, UsageError
    from rnn2vec.embedding.rnn2vec import Rnn2Vec
    from rnn2vec.emulation.config import PretrainConfig
    from rnn2vec.emulation.emulator import Emulator
    from rnn2vec.emulation.pretrain import pretrain
    from rnn2vec.encoders.base import WeightEncoder
    from rnn2vec.index.index import Index
    from rnn2vec.inspection.scikit_learn import Rnn2VecTransformer
    from rnn2vec.rnn.blackbox import BlackBox, FunctionBlackBox, ModuleBlackBox, PolicyBlackBox, StackBlackBox
    from rnn2vec.rnn.budget import BudgetedBlackBox, BudgetError
    from rnn2vec.rnn.collection import RNNCollection
    from rnn2vec.rnn.interface import Interface
    from rnn2vec.rnn.reading.arrays import ArrayLayer, from_arrays
    from rnn2vec.rnn.reading.files import load_rnn
    from rnn2vec.rnn.spec import RNNSpec
    from rnn2vec.rnn.stack import RNNStack
    from rnn2vec.tasks.base import TaskFamily
    from rnn2vec.zoo.build import build_zoo
    from rnn2vec.zoo.config import ZooConfig
    from rnn2vec.zoo.store import Zoo

__version__ = "0.1.0"

_HOMES = {
    name: module
    for module, names in {
        "_errors": "DataError Rnn2VecError StorageError UsageError",
        "embedding.rnn2vec": "Rnn2Vec",
        "emulation.config": "PretrainConfig",
        "emulation.emulator": "Emulator",
        "emulation.pretrain": "pretrain",
        "encoders.base": "WeightEncoder",
        "index.index": "Index",
        "inspection.scikit_learn": "Rnn2VecTransformer",
        "rnn.blackbox": "BlackBox FunctionBlackBox ModuleBlackBox PolicyBlackBox StackBlackBox",
        "rnn.budget": "BudgetError BudgetedBlackBox",
        "rnn.collection": "RNNCollection",
        "rnn.interface": "Interface",
        "rnn.reading.arrays": "ArrayLayer from_arrays",
        "rnn.reading.files": "load_rnn",
        "rnn.spec": "RNNSpec",
        "rnn.stack": "RNNStack",
        "tasks.base": "TaskFamily",
        "zoo.build": "build_zoo",
        "zoo.config": "ZooConfig",
        "zoo.store": "Zoo",
    }.items()
    for name in names.split()
}
_MODULES = ("encoders", "tasks")

# fmt: off
__all__ = [
    "ArrayLayer", "BlackBox", "BudgetError", "BudgetedBlackBox", "DataError", "Emulator", "FunctionBlackBox",
    "Index", "Interface", "ModuleBlackBox", "PolicyBlackBox", "PretrainConfig", "RNNCollection", "RNNSpec",
    "RNNStack", "Rnn2Vec", "Rnn2VecError", "Rnn2VecTransformer", "StackBlackBox", "StorageError", "TaskFamily",
    "UsageError", "WeightEncoder", "Zoo", "ZooConfig", "build_zoo", "encoders", "from_arrays", "load_rnn",
    "pretrain", "tasks",
]
# fmt: on


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"rnn2vec.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"rnn2vec.{name}")
    raise AttributeError(f"module 'rnn2vec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
