"""The shape of the project, read from its files: imports point one way, and nothing personal is checked in."""

from __future__ import annotations

import ast
import graphlib
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "rnn2vec"

# A folder imports only from those before it. `_` stands for the private files of the package.
# fmt: off
ORDER = [
    "_", "execution", "rnn", "tasks", "zoo", "encoders", "training", "emulation", "embedding",
    "properties", "index", "inspection", "experiments", "report", "explorer", "cli",
]
# fmt: on
LIGHT_FOLDERS = ORDER[: ORDER.index("embedding") + 1]
LIGHT_LIBRARIES = {"torch", "numpy", "safetensors", "pyarrow", "jaxtyping", "rnn2vec", *sys.stdlib_module_names}
LIBRARIES_OF_FILES = {  # that are loaded late, and only with their library
    "zoo/backends/numba_kernels.py": {"numba", "llvmlite"},
    "zoo/sampling_kernels.py": {"numba"},
    "encoders/dialogue_kernels.py": {"numba"},
    "emulation/emulator_kernels.py": {"numba"},
    "rnn/kernels/functions.py": {"numba", "llvmlite"},
    "rnn/kernels/layers.py": {"numba"},
    "rnn/kernels/panels.py": {"numba", "llvmlite"},
    "rnn/kernels/products.py": {"numba", "llvmlite"},
    "rnn/kernels/sequences.py": {"numba"},
    "rnn/kernels/steps.py": {"numba"},
    "zoo/backends/triton_kernels.py": {"triton"},
}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}

Import = tuple[int, str]
"""The line, and the full name of what is imported: `rnn2vec.rnn.stack.RNNStack`."""


# -- reading imports -------------------------------------------------------------------------------


def _imports(node: ast.AST, package: list[str], *, into_functions: bool) -> Iterator[Import]:
    """Every import below a node; `importlib.import_module("name")` counts as one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            origin = ".".join([*base, *([child.module] if child.module else [])])
            yield from ((child.lineno, f"{origin}.{alias.name}") for alias in child.names)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module"):
            yield from ((child.lineno, arg.value) for arg in child.args[:1] if _is_text(arg))
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if into_functions or not (is_function or is_for_types):
            yield from _imports(child, package, into_functions=into_functions)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _imports_of(source: Path, file: Path, *, into_functions: bool) -> list[Import]:
    package = ["rnn2vec", *file.relative_to(source).parent.parts]
    return list(_imports(ast.parse(file.read_text()), package, into_functions=into_functions))


def _folder_of(relative: Path) -> str:
    """The stage a file belongs to: its folder, `_` for a private file, the file's own name for any other."""
    if len(relative.parts) > 1:
        return relative.parts[0]
    return "_" if re.match(r"_[a-z]", relative.name) else relative.stem


def backward_arrows(source: Path) -> list[str]:
    """Imports from a later folder, from the public page, or from or into a folder that has no place in the order."""
    found: list[str] = []
    for file in sorted(source.rglob("*.py")):
        relative = file.relative_to(source)
        here = _folder_of(relative)
        if relative.as_posix() in {"__init__.py", "__main__.py"}:  # the public page and `python -m rnn2vec` see all
            continue
        if here not in ORDER:
            found.append(f"{relative}: {here} has no place in the import order")
            continue
        for line, name in _imports_of(source, file, into_functions=True):
            library, _, inside = name.partition(".")
            if library != "rnn2vec":
                continue
            there = "_" if re.match(r"_[a-z]", inside) else inside.split(".")[0]
            if there not in ORDER or ORDER.index(there) > ORDER.index(here):
                found.append(f"{relative}:{line}: {here} imports {name}")
    return found


def import_cycles(source: Path) -> list[str]:
    """Files that import each other, directly or through others, inside functions too."""
    files = {".".join(file.relative_to(source).with_suffix("").parts): file for file in source.rglob("*.py")}
    files = {name.removesuffix(".__init__"): file for name, file in files.items()}
    imports = {
        name: {
            there
            for _, full in _imports_of(source, file, into_functions=True)
            for there in _as_files(full.removeprefix("rnn2vec."), files)
            if full.startswith("rnn2vec.") and there != name
        }
        for name, file in files.items()
        if name not in {"__init__", "__main__"}
    }
    sorter = graphlib.TopologicalSorter(imports)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def _as_files(name: str, files: Mapping[str, Path]) -> list[str]:
    """Name the file that holds what is imported, if it is one of the package."""
    return next(([one] for one in (name, name.rpartition(".")[0]) if one in files), [])


def users_of_experiments(source: Path) -> list[str]:
    """Imports of experiments from anywhere but the faces: the library never needs the paper."""
    return [
        f"{file.relative_to(source)}:{line}: imports {name}"
        for file in sorted(source.rglob("*.py"))
        if _folder_of(file.relative_to(source)) not in {"experiments", "report", "cli"}
        for line, name in _imports_of(source, file, into_functions=True)
        if name.startswith("rnn2vec.experiments")
    ]


def heavy_imports(source: Path) -> list[str]:
    """Libraries beyond the light five that loading a light folder would load."""
    found: list[str] = []
    for file in sorted(source.rglob("*.py")):
        relative = file.relative_to(source)
        allowed = LIGHT_LIBRARIES | LIBRARIES_OF_FILES.get(relative.as_posix(), set())
        if _folder_of(relative) in LIGHT_FOLDERS:
            for line, name in _imports_of(source, file, into_functions=False):
                if name.split(".")[0] not in allowed:
                    found.append(f"{relative}:{line}: imports {name} at module level")
    return found


def pickles(source: Path) -> list[str]:
    """Ways to run code from a file: pickle and its kin, `torch.load` without weights_only, `allow_pickle`."""
    found: list[str] = []
    for file in sorted(source.rglob("*.py")):
        relative = file.relative_to(source)
        for line, name in _imports_of(source, file, into_functions=True):
            if name.split(".")[0] in PICKLES:
                found.append(f"{relative}:{line}: imports {name}")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                unsafe = ast.unparse(node.func) == "torch.load" and options.get("weights_only") != "True"
                if unsafe or options.get("allow_pickle", "False") != "False":
                    found.append(f"{relative}:{node.lineno}: {ast.unparse(node)}")
    return found


# -- the rules, held to the sources ----------------------------------------------------------------


@pytest.mark.parametrize("rule", [backward_arrows, heavy_imports, import_cycles, pickles, users_of_experiments])
def test_the_sources_keep_the_rule(rule: Callable[[Path], list[str]]) -> None:
    assert rule(SOURCE) == []


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_no_file_is_longer_than_500_lines(folder: str) -> None:
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert lengths
    assert {name: length for name, length in lengths.items() if length > 500} == {}


LONGEST_BODY = 60
LONG_FUNCTIONS = {  # numba compiles closures over constants: the kernels of one architecture are one function's body
    "emulation/emulator_kernels.py: compiled",
    "encoders/dialogue_kernels.py: backward",
    "encoders/dialogue_kernels.py: compiled",
    "zoo/backends/numba_kernels.py: train",
    "zoo/backends/numba_kernels.py: trainer",
}


def long_functions(source: Path) -> set[str]:
    """Functions and methods with more than 60 lines of code, not counting signature, docstring, comments and blanks."""
    found: set[str] = set()
    for file in source.rglob("*.py"):
        text = file.read_text()
        layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
        tokens = [one for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.type not in layout]
        code = {line for one in tokens for line in range(one.start[0], one.end[0] + 1)}
        nodes = list(ast.walk(ast.parse(text)))
        code -= {line for one in nodes if _is_docstring(one) for line in _lines(one)}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = {line for one in node.body for line in _lines(one)} & code
                if len(lines) > LONGEST_BODY:
                    found.add(f"{file.relative_to(source).as_posix()}: {node.name}")
    return found


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _lines(node: ast.AST) -> range:
    assert isinstance(node, ast.stmt)
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def test_no_function_is_longer_than_60_lines() -> None:
    assert long_functions(SOURCE) == LONG_FUNCTIONS


# -- the rules notice what breaks them -------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("rnn/stack.py", "from rnn2vec.zoo import store"),
        ("rnn/stack.py", "from rnn2vec.zoo.store import Zoo"),
        ("rnn/stack.py", "import rnn2vec.zoo.store"),
        ("rnn/stack.py", "from rnn2vec import zoo"),
        ("rnn/stack.py", "from rnn2vec import RNNStack"),
        ("rnn/stack.py", "import rnn2vec"),
        ("rnn/stack.py", "from .. import zoo"),
        ("rnn/stack.py", "from ..zoo.store import Zoo"),
        ("zoo/backends/torch.py", "from ...encoders import base"),
        ("rnn/stack.py", "def f():\n    from rnn2vec.zoo import store"),
        ("rnn/stack.py", "if TYPE_CHECKING:\n    from rnn2vec.zoo import store"),
        ("rnn/stack.py", "import importlib\nimportlib.import_module('rnn2vec.zoo')"),
        ("_files.py", "from rnn2vec.rnn.spec import RNNSpec"),
        ("report/page.py", "from rnn2vec.cli import main"),
        ("attic/old.py", "import torch"),
        ("stray.py", "import torch"),
        ("rnn/stack.py", "from rnn2vec.attic import old"),
    ],
)
def test_a_backward_arrow_is_noticed(tmp_path: Path, file: str, code: str) -> None:
    _plant(tmp_path, file, code)
    (arrow,) = backward_arrows(tmp_path)
    assert arrow.startswith(file)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("zoo/store.py", "from rnn2vec.rnn import RNNStack\nfrom rnn2vec._errors import UsageError\nimport torch"),
        ("zoo/backends/torch.py", "from ...rnn import stack\nfrom .. import store\nfrom . import base"),
        ("_files.py", "from rnn2vec import _errors"),
        ("cli/zoo.py", "from rnn2vec.report import page"),
        ("__init__.py", "from rnn2vec.cli import main"),
    ],
)
def test_a_forward_arrow_is_fine(tmp_path: Path, file: str, code: str) -> None:
    _plant(tmp_path, file, code)
    assert backward_arrows(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "code", "heavy"),
    [
        ("rnn/stack.py", "import scipy.stats", True),
        ("rnn/stack.py", "try:\n    from tyro import cli\nexcept ImportError:\n    pass", True),
        ("rnn/stack.py", "class A:\n    import plotly", True),
        ("rnn/stack.py", "def f():\n    import scipy.stats", False),
        ("rnn/stack.py", "if TYPE_CHECKING:\n    import plotly", False),
        ("rnn/stack.py", "import json, torch.nn\nimport pyarrow.parquet", False),
        ("zoo/train.py", "import numba", True),
        ("zoo/backends/numba_kernels.py", "import numba", False),
        ("report/page.py", "import plotly", False),
    ],
)
def test_a_heavy_import_is_noticed(tmp_path: Path, file: str, code: str, heavy: bool) -> None:
    _plant(tmp_path, file, code)
    assert bool(heavy_imports(tmp_path)) is heavy


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ("import pickle", True),
        ("def f():\n    from joblib import load", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
    ],
)
def test_a_pickle_is_noticed(tmp_path: Path, code: str, unsafe: bool) -> None:
    _plant(tmp_path, "zoo/store.py", code)
    assert bool(pickles(tmp_path)) is unsafe


@pytest.mark.parametrize("code", ["from rnn2vec.rnn.spec import RNNSpec", "def f():\n    from rnn2vec.rnn import spec"])
def test_a_cycle_is_noticed(tmp_path: Path, code: str) -> None:
    _plant(tmp_path, "rnn/spec.py", "from rnn2vec.rnn import stack")
    assert import_cycles(tmp_path) == []
    _plant(tmp_path, "rnn/stack.py", code)
    assert import_cycles(tmp_path) != []


@pytest.mark.parametrize(("lines", "is_long"), [(60, False), (61, True)])
def test_a_long_function_is_noticed(tmp_path: Path, lines: int, is_long: bool) -> None:
    body = "\n".join(['    """A docstring."""', *["    x = 1", "", "    # a comment"] * lines])
    _plant(tmp_path, "rnn/stack.py", f"class A:\n  def f():\n{body}")
    assert bool(long_functions(tmp_path)) is is_long


def test_a_user_of_experiments_is_noticed(tmp_path: Path) -> None:
    _plant(tmp_path, "cli/tour.py", "from rnn2vec.experiments.tour import measure")
    assert users_of_experiments(tmp_path) == []
    _plant(tmp_path, "rnn/stack.py", "from rnn2vec.experiments import imitation")
    assert users_of_experiments(tmp_path) == ["rnn/stack.py:1: imports rnn2vec.experiments.imitation"]


def _plant(source: Path, file: str, code: str) -> None:
    (source / file).parent.mkdir(parents=True, exist_ok=True)
    (source / file).write_text(code + "\n")


# -- nothing personal ------------------------------------------------------------------------------

PERSONAL = re.compile(
    r"(?<![\w.])/(work|root|home/\w+)/"  # a folder of one machine
    r"|pypi\.org|pythonhosted\.org|download\.pytorch\.org"  # a package registry: the installer's own business
    r"|\b(extra-)?index-url\b|\bfind-links\b|://[\w.:-]+/(\w+/)*simple\b"
)
PUBLIC = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""The one command for users that names a public host: it saves them gigabytes of CUDA."""


def test_no_file_names_a_folder_of_this_machine_or_a_package_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is checked in is unknown")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {ROOT / name for name in listing.split("\0") if name} - {Path(__file__).resolve()}
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in sorted(files)
        if file.is_file()
        for number, line in enumerate(file.read_text(errors="ignore").splitlines(), 1)
        if PERSONAL.search(line.replace(PUBLIC, ""))
    ]
    assert files
    assert found == []


@pytest.mark.parametrize(
    ("line", "personal"),
    [
        ("open('/work/main/x')", True),
        ("cd /root/x", True),
        ("see /home/ann/x", True),
        ("--extra-index-url x", True),
        ("http://mirror.local:8080/root/pypi/simple", True),
        ("file:///root/x", True),
        ("src/work/x", False),
        ("a simple thing/simple", False),
        ("https://example.org/network/", False),
    ],
)
def test_a_personal_line_is_noticed(line: str, personal: bool) -> None:
    assert bool(PERSONAL.search(line)) is personal
