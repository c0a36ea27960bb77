"""Modules of this package as one file that runs without the package.

The modules follow each other, each below those that it imports, as they are written; only their imports of each other
are left out, and their other imports move to the top.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..version import __version__


PACKAGE = Path(__file__).parents[1]
HEADER = """\
# Made from the sources of spade_hf {version} by `spade-hf export --standalone`; change those, and not this file.
# Licensed under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0

{imports}
"""


@dataclass(frozen=True)
class Module:
    """A module's source.

    Args:
        name (`str`): Its name in full.
        path (`Path`): Its file.
        text (`str`): Its source.
        tree (`ast.Module`): Its source, parsed.
    """

    name: str
    path: Path
    text: str
    tree: ast.Module


def flatten(*names: str) -> str:
    """Return the source of modules, and of all modules of this package that they import, as one file.

    Args:
        names (`str`): The modules' names below the package, such as `"pipelines.pipeline_spade"`.

    Raises:
        ValueError: If two of the modules define the same name, or one imports another within a function or `as`
            something else.
    """
    modules: dict[str, Module] = {}
    for name in names:
        _collect(f"{PACKAGE.name}.{name}", modules)
    imports: set[tuple[str, str]] = set()
    definitions: dict[str, tuple[str, str]] = {}
    for module in modules.values():
        for statement in module.tree.body:
            for bound, meaning in _bound_names(statement):
                first, known = definitions.setdefault(bound, (module.name, meaning))
                if first != module.name and known != meaning:
                    raise ValueError(
                        f"{first} and {module.name} both define `{bound}`, and cannot become one file. Rename one."
                    )
            imports.update(_foreign_imports(statement))
    bodies = [f"\n# {'-' * 8} {module.name} {'-' * 8}\n\n{_body(module)}" for module in modules.values()]
    return "\n".join([HEADER.format(version=__version__, imports=_import_lines(imports)), *bodies])


def beside(name: str, *, file: str) -> str:
    """Return the source of a module whose imports of this package come from a file beside it.

    Args:
        name (`str`): The module's name below the package.
        file (`str`): The name of that file, without its suffix.
    """
    module = _read(f"{PACKAGE.name}.{name}")
    imports: set[tuple[str, str]] = set()
    names: list[str] = []
    for statement in module.tree.body:
        imports.update(_foreign_imports(statement))
        if isinstance(statement, ast.ImportFrom) and statement.level:
            names += [alias.name for alias in statement.names]
    lines = f"{_import_lines(imports)}\n\nfrom .{file} import {', '.join(sorted(names))}"
    return HEADER.format(version=__version__, imports=lines) + "\n" + _body(module)


def _collect(name: str, modules: dict[str, Module]) -> None:
    """Add a module, below the modules of this package that it imports."""
    if name in modules:
        return
    module = _read(name)
    at_the_top = {id(statement) for statement in module.tree.body}
    for statement in ast.walk(module.tree):
        if not isinstance(statement, ast.ImportFrom) or statement.level == 0:
            continue
        if id(statement) not in at_the_top or any(alias.asname for alias in statement.names):
            raise ValueError(
                f"{name} has `{ast.unparse(statement)}`, which cannot be left out in one file. Import at the top, "
                "without `as`."
            )
        for alias in statement.names:
            _collect(_defining_module(_absolute(module, statement), alias.name), modules)
    modules[name] = module


def _defining_module(name: str, what: str) -> str:
    """Return the module that defines what can be imported from a module or package."""
    module = _read(name)
    if module.path.name == "__init__.py":
        for statement in module.tree.body:
            if isinstance(statement, ast.ImportFrom) and what in [alias.name for alias in statement.names]:
                return _defining_module(_absolute(module, statement), what)
        raise ValueError(f"{name}.{what} is a module, or not imported in {name}. Import what is in it.")
    return name


def _read(name: str) -> Module:
    path = PACKAGE.parent.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = path.read_text(encoding="utf-8")
    return Module(name, path, text, ast.parse(text))


def _absolute(module: Module, statement: ast.ImportFrom) -> str:
    """Return the full name of the module that a relative import names."""
    package = module.name.split(".")
    package = package if module.path.name == "__init__.py" else package[:-1]
    return ".".join([*package[: len(package) + 1 - statement.level], *filter(None, [statement.module])])


def _foreign_imports(statement: ast.stmt) -> list[tuple[str, str]]:
    """Return what a statement imports from other packages: pairs of a start, such as `from json`, and a name."""
    if isinstance(statement, ast.ImportFrom):
        if statement.level:
            return []
        start = f"from {statement.module} "
    elif isinstance(statement, ast.Import):
        start = ""
    else:
        return []
    return [(start, alias.name + (f" as {alias.asname}" if alias.asname else "")) for alias in statement.names]


def _import_lines(imports: set[tuple[str, str]]) -> str:
    """Return lines of imports: modules, then names, those of a module in one line."""
    names: dict[str, list[str]] = {}
    for start, name in sorted(imports):
        names.setdefault(start or f"{name} ", []).append(name)
    return "\n".join(
        f"{start if start.startswith('from') else ''}import {', '.join(those)}" for start, those in names.items()
    )


def _bound_names(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield the names that a statement at the top of a module binds, each with what it stands for."""
    for start, name in _foreign_imports(statement):
        what, _, bound = name.partition(" as ")
        yield bound or what.split(".")[0], start + (what if start or bound else what.split(".")[0])
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name, ast.unparse(statement)
    elif not isinstance(statement, ast.Import | ast.ImportFrom):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id, ast.unparse(statement)


def _body(module: Module) -> str:
    """Return a module's source without the imports at its top."""
    lines = module.text.splitlines()
    for statement in module.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            first, last = statement.lineno - 1, statement.end_lineno or statement.lineno
            lines[first:last] = [""] * (last - first)
    paragraphs = "\n".join(lines).strip().split("\n\n\n")
    return "\n\n\n".join(part.strip("\n") for part in paragraphs if part.strip()) + "\n"
