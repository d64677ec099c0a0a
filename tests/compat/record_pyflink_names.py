"""Records the public names of PyFlink's DataStream API from its sources, without importing them.

    python tests/compat/record_pyflink_names.py <directory that holds the package pyflink>

Writes `src/penstock/compat/pyflink_names.json`: for each module its names; for a class its base classes' names and its
methods and nested classes; for a callable its parameters, `*` and `**` in front of the variable ones, `=` behind those
with a default.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("common", "datastream", "metrics")
LEFT_OUT = {"common.utils", "datastream.utils"}
INTERNAL = ("Internal", "PassThrough", "FunctionWrapper", "ReduceFunctionWrapper", "JavaFunctionWrapper", "Min")
INTERNAL_ENDS = ("OperationDescriptor", "FunctionDescriptor")
OUTPUT = Path(__file__).parents[2] / "src/penstock/compat/pyflink_names.json"


def record(root: Path) -> dict[str, dict[str, Any]]:
    modules = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            if "tests" in path.parts or name in LEFT_OUT or (path.name.startswith("_") and path.stem != "__init__"):
                continue
            names = module_names(ast.parse(path.read_text()))
            if names:
                modules[f"pyflink.{name}"] = names
    return modules


def module_names(tree: ast.Module) -> dict[str, Any]:
    exported = next((node.value for node in tree.body if assigns(node, "__all__")), None)
    defined = dict(definitions(tree.body))
    if exported is None:
        return defined
    listed = [name for name in ast.literal_eval(exported) if not name.startswith("_")]
    names = {name: defined.get(name, "name") for name in listed}
    # Programs import what a module defines whether it is listed or not.
    names |= {name: entry for name, entry in defined.items() if isinstance(entry, dict) and name not in names}
    return {name: entry for name, entry in names.items() if not is_internal(name)}


def is_internal(name: str) -> bool:
    return name.startswith(INTERNAL) or name.endswith(INTERNAL_ENDS)


def assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)


def definitions(body: list[ast.stmt]) -> Any:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, {"bases": [ast.unparse(base) for base in node.bases], "names": dict(members(node))}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            if is_overload(node):
                continue
            yield node.name, parameters(node)


def members(node: ast.ClassDef) -> Any:
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if is_public(child.name) and not is_overload(child):
                static = any(ast.unparse(decorator) == "staticmethod" for decorator in child.decorator_list)
                yield child.name, parameters(child)[0 if static else 1 :]
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from definitions([child])
        elif isinstance(child, ast.Assign):
            for target in child.targets:
                if isinstance(target, ast.Name) and not target.id.startswith(("_", "EPOCH_ORDINAL")):
                    yield target.id, "value"


def is_public(name: str) -> bool:
    return name == "__init__" or not name.startswith("_")


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    found = [arg.arg + ("=" if index >= required else "") for index, arg in enumerate(positional)]
    if arguments.vararg:
        found.append("*" + arguments.vararg.arg)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(argument.arg + ("" if default is None else "="))
    if arguments.kwarg:
        found.append("**" + arguments.kwarg.arg)
    return found


if __name__ == "__main__":
    recorded = record(Path(sys.argv[1]) / "pyflink")
    OUTPUT.write_text(json.dumps({"version": "2.2.1", "modules": recorded}, indent=1, sort_keys=True) + "\n")
    print(f"{OUTPUT}: {len(recorded)} modules")
