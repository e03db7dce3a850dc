"""No circle between modules and no arrow upwards, types and imports inside functions included."""

import pytest

from tests import ROOT
from tests.test_architecture import PACKAGES, SOURCES, fail_on, imported, package_of

# The folders of data_pipeline from below to above: each imports from itself and from those before
# it. Commands and minislakh stand above all of them; cli is for everyone and knows none.
LAYERS = ("io", "instruments", "corpora", "prepared", "planning", "reading")
FOR_EVERYONE = "cli"


def import_graph(package: str) -> dict[str, set[str]]:
    """For each module of a package those of the same package that it imports, in whatever place."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in SOURCES
        if package_of(path) == package
    }
    graph = {}
    for module, path in paths.items():
        names = {name for _, name in imported(path)}
        modules = {name if name in paths else name.rpartition(".")[0] for name in names}
        graph[module] = (modules & paths.keys()) - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[str]:
    """A line for each module that imports itself by way of others, with the shortest such way."""
    found = [(start, _way_back(graph, start)) for start in sorted(graph)]
    return [" imports ".join([start, *way]) for start, way in found if way]


def _way_back(graph: dict[str, set[str]], start: str) -> list[str]:
    ways, seen = [[module] for module in sorted(graph[start])], set()
    for way in ways:  # grows as it is gone through: breadth first
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, module] for module in sorted(graph.get(way[-1], ()))]
    return []


def arrows_upwards(graph: dict[str, set[str]]) -> list[str]:
    """A line for each import of data_pipeline that goes to a layer above the importing module."""
    return [
        f"{module} imports {target}, which lies above it"
        for module, imports in sorted(graph.items())
        for target in sorted(imports)
        if _is_upwards(_layer(module), _layer(target))
    ]


def _layer(module: str) -> str:
    return (module.split(".")[1:] or [""])[0]


def _is_upwards(layer: str, target: str) -> bool:
    if FOR_EVERYONE in (layer, target):
        return target != FOR_EVERYONE
    height = {name: number for number, name in enumerate(LAYERS)}
    return height.get(target, len(LAYERS)) > height.get(layer, len(LAYERS))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_way_of_others(package):
    fail_on(circles(import_graph(package)))


def test_circles_are_seen():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b", "e"}, "e": set()}
    assert circles(graph) == [
        "b imports c imports d imports b",
        "c imports d imports b imports c",
        "d imports b imports c imports d",
    ]


def test_data_pipeline_has_no_arrow_upwards():
    graph = import_graph("data_pipeline")
    assert {_layer(module) for module in graph}.issuperset({*LAYERS, FOR_EVERYONE})
    fail_on(arrows_upwards(graph))


@pytest.mark.parametrize(
    ("module", "target", "is_upwards"),
    [
        ("io.files", "planning.batch", True),
        ("prepared.records", "reading.tf_reader", True),
        ("reading.tf_reader", "prepared.records", False),
        ("planning.batch", "planning.notes", False),
        ("planning.flags", "cli.flags", False),
        ("cli.flags", "io.files", True),
        ("reading.excerpts", "inspect", True),
        ("inspect", "reading.excerpts", False),
        ("minislakh.tree", "io.audio", False),
        ("prepared.pack", "minislakh.tree", True),
    ],
)
def test_arrows_upwards_are_seen(module, target, is_upwards):
    graph = {f"data_pipeline.{module}": {f"data_pipeline.{target}"}}
    assert bool(arrows_upwards(graph)) == is_upwards
