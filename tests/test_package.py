"""The package as a whole: light to import, files short, imports only upwards in the table of rows, no printing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent.parent / "lib").glob("*.py"))
# Split rooms sit just above the module that shows their names.
ROWS = [
    ["checks", "constants"],
    ["gaussian", "checkpoints", "layers", "autodiff", "calibration", "convergence", "transport", "neighbours"],
    ["low_rank", "point_masses"],
    ["mixture", "jacobian", "schedule", "diagnostics", "density", "ppca", "conditioning"],
    ["formats", "memory", "download", "remedies", "augmentation", "mapped", "content", "parts"],
    ["units", "geology"],
    ["loaders", "resampling"],
    ["acquisition"],
    ["band"],
    ["born", "thinned"],
    ["forward", "velocity", "seismic"],
    ["training_state", "training_input", "geology_field", "stored"],
    ["guidance", "reverse", "gauss_newton", "hamiltonian", "training", "tangents"],
    ["linearization", "daps", "league", "mcmc", "smc"],
    ["assembly"],
    ["relinearized"],
    ["posterior", "samplers", "network"],
    ["inversion", "scale", "plotting", "validity", "frames", "report_figures", "ensemble"],
    ["problem", "own_models", "widgets", "adapters", "copies"],
    ["denoising_gap", "likelihood_gap", "lookup_change", "report_page"],
    ["verdict", "audit_input"],
    ["audit_report"],
    ["audit_samples"],
    ["audit_prior"],
    ["audit"],
]
ROW = {name: number for number, row in enumerate(ROWS) for name in row}


def imported(path):
    """Modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "lib":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib."):
            yield node.module.removeprefix("lib.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_module_is_short_and_imports_only_from_rows_above(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 200
    if path.stem != "__init__":
        assert all(ROW[name] < ROW[path.stem] for name in imported(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_public_names_are_documented_and_only_the_command_prints(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            owners = [tree, *(owner for owner in tree.body if isinstance(owner, ast.ClassDef))]
            public = any(node in owner.body for owner in owners)
            assert not public or ast.get_docstring(node), node.name
        if path.stem not in ("own_models", "audit"):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print")
        assert not isinstance(node, ast.Global)


def test_importing_the_package_loads_no_library():
    code = "import sys, lib; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=FILES[0].parents[1], check=False).returncode == 0


@pytest.mark.parametrize("module", ["mixture", "samplers", "posterior", "seismic", "diagnostics", "density"])
def test_a_module_loads_no_heavy_library_before_it_is_used(module):
    heavy = (
        "('matplotlib', 'scipy.stats', 'scipy.signal', 'scipy.optimize', 'blackjax', 'dask', 'sklearn', 'ipywidgets')"
    )
    code = f"import sys, lib.{module}; sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FILES[0].parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
