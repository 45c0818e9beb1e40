"""The imports of the code, read from its text: nothing is imported for it.

Imports inside functions count as well: a cycle that is put off until a call is still one.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CODE = ("sonic_guard", "nodes")
"""The folders whose modules are read."""


class Import(NamedTuple):
    """One imported module, and the name taken from it."""

    importer: str
    module: str
    """Absolute, such as "sonic_guard.media.audio" or "torch"."""
    name: str
    """What is taken from `module`; empty for an import of the whole module."""
    line: int
    alias: str = ""
    """The name it gets with `as`."""

    def __str__(self) -> str:
        """For people."""
        return f"{self.importer}:{self.line} imports {self.module}{'.' if self.name else ''}{self.name}"


class Module(NamedTuple):
    """One file."""

    name: str
    """Dotted; that of a package for its `__init__.py`."""
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]


def read_modules(root: Path = ROOT) -> dict[str, Module]:
    """Every module below `CODE` in `root`, by its name."""
    paths = {_name(path.relative_to(root)): path for folder in CODE for path in sorted((root / folder).rglob("*.py"))}
    modules = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules[name] = Module(name, path, tree, tuple(_imports(tree, name, path, paths)))
    return modules


def layer_of(module: str) -> str:
    """The layer of a module of the project: its package below `sonic_guard`, or the module itself; "nodes"."""
    parts = module.split(".")
    return parts[1] if parts[0] == "sonic_guard" and len(parts) > 1 else parts[0]


def is_own(module: str) -> bool:
    """Whether a module is the project's."""
    return module.split(".")[0] in CODE


def layer_imports(modules: Mapping[str, Module]) -> dict[str, set[str]]:
    """The other layers that each layer imports."""
    found: dict[str, set[str]] = {}
    for module in modules.values():
        layer = layer_of(module.name)
        targets = {layer_of(each.module) for each in module.imports if is_own(each.module)}
        found.setdefault(layer, set()).update(targets - {layer, "sonic_guard"})
    return found


def private_uses(module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    """Uses of another module's names that begin with an underscore: imported, or through an imported module."""
    aliases = {}
    for each in module.imports:
        if is_own(each.module) and each.name.startswith("_") and not each.name.startswith("__"):
            yield str(each)
        if each.module in modules and not each.name:
            aliases[each.alias or each.module.rpartition(".")[2]] = each.module
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in aliases:
                if attribute.startswith("_") and not attribute.startswith("__"):
                    yield f"{module.name}:{node.lineno} uses {aliases[name]}.{attribute}"
            case ast.Attribute(value=ast.Attribute() as whole, attr=attribute) if ast.unparse(whole) in modules:
                if attribute.startswith("_") and not attribute.startswith("__"):
                    yield f"{module.name}:{node.lineno} uses {ast.unparse(node)}"
            case _:
                pass


def calls(module: Module) -> Iterator[tuple[str, int]]:
    """The functions that a module calls, as they are written, each with its line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def find_cycle(edges: Mapping[str, set[str]]) -> list[str]:
    """One cycle in a graph, its first node again at its end; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for target in sorted(edges.get(node, ())):
            if cycle := visit(target, [*way, node]):
                return cycle
        done.add(node)
        return []

    return next((cycle for node in sorted(edges) if (cycle := visit(node, []))), [])


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module, name: str, path: Path, known: Mapping[str, Path]) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, "", node.lineno, alias.asname or "")
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(package, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}" if base else alias.name
                # `from . import host` names a module, `from .host import budget` a thing in one.
                taken = (inner, "") if inner in known else (base, alias.name)
                yield Import(name, *taken, node.lineno, alias.asname or "")


def _absolute(package: str, node: ast.ImportFrom) -> str:
    """The module that `from … import` names, from a module in `package`; above the root it counts from there."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1] if node.level <= len(parts) else []
    return ".".join([*base, *([node.module] if node.module else [])])
