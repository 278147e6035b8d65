"""Imports go down the floors of the house, and no file is too long to be read."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 300

# A file imports from floors below its own; inside a floor only from its own package, or without a circle.
FLOORS = {
    "benchmark": 0,  # fetches its names when they are asked for
    "benchmark.errors": 0,
    "benchmark.checks": 0,
    "benchmark.modality": 0,
    "benchmark.threat_model": 0,
    "benchmark.files": 0,
    "benchmark.folders": 0,
    "benchmark.progress": 0,
    "benchmark.allocator": 0,
    "benchmark.processes": 0,
    "benchmark.robustbench_import": 0,
    "benchmark.kernels": 0,
    "benchmark.protocol": 1,
    "benchmark.record": 1,
    "benchmark.statistics": 1,
    "benchmark.directions": 1,
    "benchmark.selective": 1,
    "benchmark.paper_result": 1,
    "benchmark.evidence": 1,
    "benchmark.measures": 1,
    "benchmark.data": 1,
    "benchmark.models": 1,
    "benchmark.remote": 1,
    "benchmark.submission_file": 1,
    "benchmark.submission_folder": 1,
    "benchmark.submission_values": 1,
    "benchmark.submission_words": 1,
    "benchmark.submission": 2,
    "benchmark.attacks": 2,
    "benchmark.isolation": 3,
    "benchmark.evaluation": 4,
    "benchmark.training": 4,
    "benchmark.contract": 4,
    "benchmark.robustbench_bridge": 5,
    "benchmark.cluster": 5,
    "benchmark.entering": 5,
    "benchmark.forge": 5,
    "benchmark.bench": 5,
    "leaderboard": 5,
    "benchmark.cli": 6,
    "benchmark.cli_evaluate": 6,
    "benchmark.cli_attack": 6,
    "benchmark.cli_bench": 6,
    "benchmark.cli_cluster": 6,
    "benchmark.cli_paper": 6,
    "benchmark.cli_evidence": 6,
    "benchmark.cli_export": 6,
    "benchmark.cli_data": 6,
    "benchmark.cli_prepare": 6,
    "benchmark.cli_train": 6,
    "benchmark.cli_json": 6,
    "benchmark.cli_enter": 6,
    "benchmark.examples": 6,
    "benchmark.pytest_plugin": 6,
    "benchmark.test_robustness": 6,
    "benchmark.test_speed": 6,
}
FOR_THE_PAGE = {"record", "statistics", "modality", "protocol", "errors", "files", "folders", "threat_model"}
FOR_THE_PAGE |= {
    "paper_result",
    "directions",
    "evidence",
    "evidence.best_known",
    "evidence.claims",
    "evidence.runs",
    "evidence.seeds",
    "evidence.trainings",
    "evidence.trainings_files",
    "evidence.variants",
}
FOR_THE_PAGE |= {
    "measures",
    "measures.fragility",
    "evidence.facts",
    "evidence.pictures",
    "evidence.transfers",
}
FOR_THE_PAGE |= {
    "evidence.described",
    "processes",
    "data.manifest",
    "statistics.agreement",
    "statistics.comparison",
    "statistics.patients",
}
FOR_THE_PAGE |= {"checks", "statistics.confidence", "statistics.bootstrap", "record.files"}
READERS = ("dicom", "lidc", "cbis_ddsm", "mets_to_brain")
PREPARING = ("benchmark.data.prepared", "benchmark.data.manifest", "benchmark.data.tracks")
HEAVY = {"torch", "torchvision", "torchattacks", "robustbench", "timm"}

FILES = sorted([*ROOT.glob("benchmark/**/*.py"), *ROOT.glob("leaderboard/**/*.py")])


def module_name(path, root=ROOT):
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package(module):
    """The entry of FLOORS that a module belongs to."""
    if module.partition(".")[0] == "leaderboard":
        return "leaderboard"
    return ".".join(module.split(".")[:2])


def imported(source, module, is_package=False):
    """What a file imports, lazily or not; not what only a type checker reads."""
    skipped = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            skipped |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from benchmark import record` names a module, `from benchmark.record import Record` does not.
            names = [f"{base}.{alias.name}" for alias in node.names]
            yield from [name if is_module(name) else base for name in names]


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imports_of(path):
    return set(imported(path.read_text("utf-8"), module_name(path), path.name == "__init__.py"))


def ours(modules):
    return {module for module in modules if module.partition(".")[0] in ("benchmark", "leaderboard")}


def test_the_reader_of_imports_sees_every_kind():
    source = """
import benchmark.record
from benchmark import statistics, __version__
from . import judge
from ..data.split import Split
if TYPE_CHECKING:
    from benchmark.cli import main
def later():
    from benchmark.evaluation.engine import evaluate
"""

    found = set(imported(source, "benchmark.evaluation.arena"))

    assert found == {
        "benchmark.record",
        "benchmark.statistics",
        "benchmark",
        "benchmark.evaluation.judge",
        "benchmark.data.split",
        "benchmark.evaluation.engine",
    }


def test_every_file_has_a_floor():
    assert {package(module_name(path)) for path in FILES} - set(FLOORS) == set()


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down(path):
    own = package(module_name(path))

    up = {name for name in ours(imports_of(path)) if FLOORS.get(package(name), 99) > FLOORS[own]}

    assert up == set(), f"{module_name(path)} is on floor {FLOORS[own]} and imports from above"


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in FILES
        if package(module_name(path)) == "benchmark.data" and path.parent.name in READERS
    ],
    ids=module_name,
)
def test_a_reader_knows_nothing_of_parts_and_caches(path):
    found = imports_of(path)

    known = {name for name in found if name.startswith(PREPARING)}
    assert known == set(), (
        f"{module_name(path)} reads files; parts, caches and locks are of those who call it"
    )


@pytest.mark.parametrize("floor", sorted(set(FLOORS.values())))
def test_packages_of_one_floor_import_each_other_in_no_circle(floor):
    graph = {}
    for path in FILES:
        own = package(module_name(path))
        beside = {package(name) for name in ours(imports_of(path))} - {own}
        if FLOORS[own] == floor:
            graph.setdefault(own, set()).update(name for name in beside if FLOORS.get(name) == floor)

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"floor {floor}: {' → '.join(error.args[1])}")


@pytest.mark.parametrize(
    "path", [path for path in FILES if package(module_name(path)) == "leaderboard"], ids=module_name
)
def test_the_page_reads_records_and_needs_no_torch(path):
    found = imports_of(path)

    allowed = {f"benchmark.{name}" for name in FOR_THE_PAGE} | {"benchmark"}
    assert {name for name in ours(found) if name.startswith("benchmark")} - allowed == set()
    assert {name.partition(".")[0] for name in found} & HEAVY == set()


@pytest.mark.parametrize(
    ("library", "file"), [("torchattacks", "battery"), ("pyautoattack", "second_opinion")]
)
def test_only_one_file_knows_an_attack_library(library, file):
    knowing = [module_name(path) for path in FILES if library in imports_of(path)]

    # The bench times them as they come; the import gives one of them the name that robustbench looks for.
    knowing = [n for n in knowing if package(n) not in ("benchmark.bench", "benchmark.robustbench_import")]
    assert knowing == [f"benchmark.attacks.{file}"]


@pytest.mark.parametrize(
    "path", [path for path in FILES if package(module_name(path)) != "leaderboard"], ids=module_name
)
def test_no_file_is_too_long(path):
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST
