"""The chain compiler: one generated loop for all operators of a chain.

A chain is a tree of operators that run on one task. Per-record operator objects cost about three times the user's
own functions (docs/design/execution.md has the measurements), so the compiler writes the loop a careful engineer
would write by hand: user functions called directly, results appended to the chain's outputs. The source of every
loop is registered with `linecache`: tracebacks, pdb and coverage show it.

There is one *entry* a way into the chain: records of an input (with or without timestamps and keys), and the timed
results of an operator (timers, windows, asynchronous results) that continue behind it.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.conf import Record
from penstock.datastream._transformations import (
    FilterSpec,
    FlatMapSpec,
    MapSpec,
    OperatorSpec,
    ReduceSpec,
    SourceSpec,
    TimestampsSpec,
)
from penstock.runtime._failure import CHAIN_FILE_PREFIX
from penstock.runtime._outputs import BATCH_LIMIT, Output
from penstock.runtime._record_types import KeyType
from penstock.runtime._watermarks import WatermarkGenerator
from penstock.runtime.operators.base import NO_TIMESTAMP, InContext, Operator
from penstock.runtime.state import PLAIN_KEY_TYPES, freeze_key
from penstock.runtime.state._values import ATOMS, copied_value

__all__ = ["ChainCompiler", "ChainNode", "Entry"]

_numbers = itertools.count(1)
_MISSING = object()


@dataclass(slots=True)
class ChainNode:
    """One operator of a chain, loaded for one subtask. Owned by its task's thread.

    Attributes:
        name: the operator's name.
        spec: what it does.
        operator_id: what its state is found by in a checkpoint.
        function: the loaded user function as a callable, for operators that are written inline.
        rich: whether `function` may use keyed state, so that the current key must be set for each record.
        operator: the operator object of everything else.
        key_of: for each logical input the loaded key selector, or None.
        backend: keyed state, where an input is keyed.
        table: a reduce's state.
        watermarks: timestamp assignment and watermark generation.
        key_types: for each logical input the declared type of its key, where keys may have to be changed to fit it.
        coercers: where the declared type is enforced although the children are chained, see `_record_types`.
        children: what follows in the chain: (side output id or None, node).
        outputs: where records leave the chain: (side output id or None, output).
    """

    id: int
    name: str
    spec: OperatorSpec
    operator_id: str = ""
    function: Callable[..., Any] | None = None
    rich: bool = False
    operator: Operator | None = None
    key_of: tuple[Callable[[Any], Any] | None, ...] = ()
    backend: Any = None
    table: Any = None
    watermarks: WatermarkGenerator | None = None
    key_types: tuple[KeyType | None, ...] = ()
    coercers: dict[str | None, Callable[[Any], Any]] = field(default_factory=dict)
    children: list[tuple[str | None, ChainNode]] = field(default_factory=list)
    outputs: list[tuple[str | None, Output]] = field(default_factory=list)

    def walk(self) -> Iterator[ChainNode]:
        """This node and all below it, parents first."""
        yield self
        for _, child in self.children:
            yield from child.walk()

    @property
    def tags(self) -> set[str]:
        """Ids of the side outputs somebody reads."""
        return {tag for tag, _ in [*self.children, *self.outputs] if tag is not None}


class Entry(Record):
    """A compiled way into a chain.

    Attributes:
        function: the generated function. It returns None, or a generator that stops where an output is full.
        timed: outputs that get records with timestamps from it.
        untimed: outputs that get records without.
        lines: line of the source → (operator name, variable that holds the record).
        source: the generated source.
    """

    function: Callable[..., Iterator[None] | None]
    timed: tuple[Output, ...]
    untimed: tuple[Output, ...]
    lines: dict[int, tuple[str, str]]
    source: str


class ChainCompiler:
    """Compiles the entries of one chain, each when it is first needed. Task thread only."""

    def __init__(self, head: ChainNode, title: str) -> None:
        self._head = head
        self._title = title
        self._entries: dict[tuple[Any, ...], Entry] = {}
        self._files: dict[str, Entry] = {}

    def records(self, input_index: int, timed: bool, with_keys: bool) -> Entry:
        """The entry for records of a logical input of the head."""
        return self._entry(("input", input_index, timed, with_keys))

    def results(self, node: ChainNode) -> Entry:
        """The entry for timed results of a node: an iterable of (value, timestamp)."""
        return self._entry(("results", node.id), node)

    def locate(self, filename: str, line: int) -> tuple[str, str] | None:
        """For a line of generated source: (operator name, variable that holds the record)."""
        entry = self._files.get(filename)
        if entry is None:
            return None
        return entry.lines.get(line)

    def close(self) -> None:
        """Forgets the registered sources."""
        for filename in self._files:
            linecache.cache.pop(filename, None)

    def _entry(self, key: tuple[Any, ...], node: ChainNode | None = None) -> Entry:
        entry = self._entries.get(key)
        if entry is None:
            writer = _EntryWriter(self._head)
            if node is not None:
                writer.write_results(node)
            else:
                writer.write_records(*key[1:])
            filename = f"{CHAIN_FILE_PREFIX}{self._title} [{' '.join(map(str, key))}] #{next(_numbers)}>"
            entry = writer.build(filename)
            self._entries[key] = self._files[filename] = entry
        return entry


class _EntryWriter:
    """Writes the source of one entry."""

    def __init__(self, head: ChainNode) -> None:
        self._head = head
        self._body: list[str] = []
        self._lines: dict[int, tuple[str, str]] = {}
        self._names: dict[str, Any] = {"MISSING": _MISSING, "PLAIN": PLAIN_KEY_TYPES, "freeze_key": freeze_key}
        self._timed: dict[int, Output] = {}
        self._untimed: dict[int, Output] = {}
        self._output_numbers: dict[int, int] = {}
        self._variables = itertools.count(1)
        self._expanding = False  # inside a loop over results: outputs may grow beyond the batch

    # -- entries ---------------------------------------------------------------------------------

    def write_records(self, input_index: int, timed: bool, with_keys: bool) -> None:
        """`process(values, timestamps, keys)`: one loop over a batch."""
        head = self._head
        columns = ["v0"] + (["t0"] if timed else []) + (["k0"] if with_keys else [])
        lists = ["values"] + (["timestamps"] if timed else []) + (["keys"] if with_keys else [])
        source = lists[0] if len(lists) == 1 else f"zip({', '.join(lists)})"
        self._line(1, "def process(values, timestamps, keys):")
        self._line(2, f"for {', '.join(columns)} in {source}:")
        stamp = "t0" if timed else None
        if isinstance(head.spec, SourceSpec):
            self._source(head, "v0", stamp, 3)
            return
        selector = head.key_of[input_index] if input_index < len(head.key_of) else None
        key = None
        if selector is not None:
            key = "k0"
            if not with_keys:
                where = (f"{head.name} (key selector)", "v0")
                self._line(3, f"k0 = {self._bind('key', selector, head.id)}(v0)", where)
                key_type = head.key_types[input_index] if input_index < len(head.key_types) else None
                if key_type is not None:
                    test = f"if type(k0) is not {self._bind('plain', key_type.plain, head.id)}:"
                    self._line(3, test if key_type.plain is not None else "if True:")
                    self._line(4, f"k0 = {self._bind('key_type', key_type.coerce, head.id)}(k0)", where)
        self._node(head, "v0", stamp, key, input_index, 3)

    def write_results(self, node: ChainNode) -> None:
        """`process(results)`: continues behind a node with (value, timestamp) pairs."""
        self._line(1, "def process(results):")
        self._line(2, "for v0, t0 in results:", (node.name, ""))
        self._expanding = True
        if node.operator is not None and node.operator.may_side_output:
            self._split(node, "v0", "t0", 3)
        else:
            self._targets(node, None, "v0", "t0", 3)

    def build(self, filename: str) -> Entry:
        """Compiles what was written."""
        parameters = ", ".join(self._names)
        lines = [f"def make({parameters}):", *self._body, "    return process"]
        source = "\n".join(lines) + "\n"
        code = compile(source, filename, "exec")
        scope: dict[str, Any] = {}
        exec(code, scope)
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        return Entry(
            scope["make"](**self._names),
            tuple(self._timed.values()),
            tuple(self._untimed.values()),
            self._lines,
            source,
        )

    # -- operators -------------------------------------------------------------------------------

    def _node(
        self, node: ChainNode, value: str, stamp: str | None, key: str | None, input_index: int, depth: int
    ) -> None:
        spec = node.spec
        if key is not None and (node.rich or node.operator is not None):
            self._set_key(node, key, depth)
        if isinstance(spec, MapSpec):
            self._map(node, value, stamp, depth)
        elif isinstance(spec, FlatMapSpec):
            self._flat_map(node, value, stamp, depth)
        elif isinstance(spec, FilterSpec):
            self._line(depth, f"if {self._call(node, value)}:", (node.name, value))
            self._targets(node, None, value, stamp, depth + 1)
        elif isinstance(spec, ReduceSpec):
            self._reduce(node, value, stamp, key, depth)
        elif isinstance(spec, TimestampsSpec):
            self._assign_timestamps(node, value, stamp, depth)
        elif node.operator is not None:
            self._operator(node, value, stamp, input_index, depth)
        else:  # a sink: its output is all there is
            self._targets(node, None, value, stamp, depth)

    def _source(self, node: ChainNode, value: str, stamp: str | None, depth: int) -> None:
        if node.watermarks is not None:
            self._assign_timestamps(node, value, stamp, depth)
        else:
            self._targets(node, None, value, stamp, depth)

    def _map(self, node: ChainNode, value: str, stamp: str | None, depth: int) -> None:
        result = self._variable("v")
        self._line(depth, f"{result} = {self._call(node, value)}", (node.name, value))
        self._targets(node, None, result, stamp, depth)

    def _flat_map(self, node: ChainNode, value: str, stamp: str | None, depth: int) -> None:
        result = self._variable("v")
        self._line(depth, f"for {result} in {self._call(node, value)}:", (node.name, value))
        self._expand(node, result, stamp, depth + 1, split=False)

    def _reduce(self, node: ChainNode, value: str, stamp: str | None, key: str | None, depth: int) -> None:
        table = self._bind("state", node.table.live(), node.id)
        reduce = self._bind("reduce", node.function, node.id)
        held, result = self._variable("a"), self._variable("v")
        where = (node.name, value)
        self._line(depth, "try:")
        self._line(depth + 1, f"{held} = {table}.get({key}, MISSING)")
        self._line(depth, "except TypeError:")
        self._line(depth + 1, f"{key} = freeze_key({key})", where)
        self._line(depth + 1, f"{held} = {table}.get({key}, MISSING)")
        self._line(depth, f"if {held} is MISSING and type({key}) not in PLAIN:")
        self._line(depth + 1, f"{key} = freeze_key({key})", where)
        self._line(depth + 1, f"{held} = {table}.get({key}, MISSING)")
        self._line(depth, f"if {held} is MISSING:")
        self._line(depth + 1, f"{result} = {value}")
        self._line(depth, "else:")
        self._line(depth + 1, f"{result} = {reduce}({held}, {value})", where)
        self._line(depth, f"{table}[{key}] = {result}")
        self._targets(node, None, result, stamp, depth)

    def _assign_timestamps(self, node: ChainNode, value: str, stamp: str | None, depth: int) -> None:
        generator = node.watermarks
        assert generator is not None
        name = self._bind("watermarks", generator, node.id)
        before = stamp or str(NO_TIMESTAMP)
        if generator.assign is None:
            after = stamp
        else:
            after = self._variable("t")
            assign = self._bind("timestamp", generator.assign, node.id)
            self._line(depth, f"{after} = {assign}({value}, {before})", (node.name, value))
        if after is not None:
            self._line(depth, f"if {after} > {name}.max_timestamp:", (node.name, value))
            self._line(depth + 1, f"{name}.max_timestamp = {after}")
        self._targets(node, None, value, after, depth)

    def _operator(self, node: ChainNode, value: str, stamp: str | None, input_index: int, depth: int) -> None:
        operator = node.operator
        assert operator is not None, node.name
        role, process = ("process", operator.process) if input_index == 0 else ("process2", operator.process2)
        results, result = self._variable("r"), self._variable("v")
        after: str | None
        where = (node.name, value)
        if isinstance(process, InContext):
            call, context = (
                self._bind(f"{role}_call", process.function, node.id),
                self._bind("ctx", process.context, node.id),
            )
            self._line(depth, f"{context}.record_timestamp = {stamp or NO_TIMESTAMP}")
            self._line(depth, f"{results} = {call}({value}, {context})", where)
        else:
            name = self._bind(role, process, node.id)
            self._line(depth, f"{results} = {name}({value}, {stamp or NO_TIMESTAMP})", where)
        self._line(depth, f"if {results} is not None:")
        if operator.emits_timestamps:
            after = self._variable("t")
            self._line(depth + 1, f"for {result}, {after} in {results}:", where)
        else:
            after = stamp
            self._line(depth + 1, f"for {result} in {results}:", where)
        self._expand(node, result, after, depth + 2, split=operator.may_side_output)

    # -- pieces ----------------------------------------------------------------------------------

    def _expand(self, node: ChainNode, value: str, stamp: str | None, depth: int, *, split: bool) -> None:
        """The body of a loop over results: outputs are checked for being full."""
        outer, self._expanding = self._expanding, True
        if split:
            self._split(node, value, stamp, depth)
        else:
            self._targets(node, None, value, stamp, depth)
        self._expanding = outer

    def _split(self, node: ChainNode, value: str, stamp: str | None, depth: int) -> None:
        """Results that may be (OutputTag, value) pairs; a side output nobody reads is dropped, as Flink documents."""
        from penstock.datastream.output_tag import OutputTag

        self._names["OutputTag"] = OutputTag
        tag, inner = self._variable("g"), self._variable("v")
        self._line(depth, f"if isinstance({value}, tuple) and {value} and isinstance({value}[0], OutputTag):")
        self._line(depth + 1, f"{tag} = {value}[0].tag_id")
        self._line(depth + 1, f"{inner} = {value}[1]", (node.name, value))
        for wanted in sorted(node.tags):
            self._line(depth + 1, f"if {tag} == {wanted!r}:")
            self._targets(node, wanted, inner, stamp, depth + 2)
        self._line(depth, "else:")
        self._targets(node, None, value, stamp, depth + 1)

    def _targets(self, node: ChainNode, tag: str | None, value: str, stamp: str | None, depth: int) -> None:
        """What happens to a record behind a node. Several consumers get a copy each: none sees what another changes."""
        outputs = [output for wanted, output in node.outputs if wanted == tag]
        children = [child for wanted, child in node.children if wanted == tag]
        if not outputs and not children:
            self._line(depth, "pass")
            return
        if tag in node.coercers:
            typed = self._variable("v")
            coerce = self._bind("coerce", node.coercers[tag], node.id) if tag is None else self._side_type(node, tag)
            self._line(depth, f"{typed} = {coerce}({value})", (node.name, value))
            value = typed
        copies = len(outputs) + len(children) - 1
        for output in outputs:
            self._emit(output, self._copy(value, depth) if copies > 0 else value, stamp, depth)
            copies -= 1
        for child in children:
            self._node(child, self._copy(value, depth) if copies > 0 else value, stamp, None, 0, depth)
            copies -= 1

    def _copy(self, value: str, depth: int) -> str:
        self._names["ATOMS"], self._names["copied_value"] = ATOMS, copied_value
        copy = self._variable("v")
        self._line(depth, f"{copy} = {value} if type({value}) in ATOMS else copied_value({value})")
        return copy

    def _side_type(self, node: ChainNode, tag: str) -> str:
        number = sorted(each for each in node.coercers if each is not None).index(tag)
        return self._bind(f"coerce_{number}_of", node.coercers[tag], node.id)

    def _emit(self, output: Output, value: str, stamp: str | None, depth: int) -> None:
        number = self._output_numbers.setdefault(id(output), len(self._output_numbers))
        values = self._bind("out", output.values, number)
        self._line(depth, f"{values}.append({value})")
        if stamp is not None:
            self._timed[number] = output
            self._line(depth, f"{self._bind('stamps', output.stamps, number)}.append({stamp})")
        else:
            self._untimed[number] = output
        if self._expanding:
            self._line(depth, f"if len({values}) >= {BATCH_LIMIT}:")
            self._line(depth + 1, "yield")

    def _set_key(self, node: ChainNode, key: str, depth: int) -> None:
        backend = self._bind("backend", node.backend, node.id)
        self._line(depth, f"if type({key}) not in PLAIN:")
        self._line(depth + 1, f"{key} = freeze_key({key})", (node.name, "v0"))
        self._line(depth, f"{backend}.current_key = {key}")

    def _call(self, node: ChainNode, value: str) -> str:
        return f"{self._bind('call', node.function, node.id)}({value})"

    def _bind(self, role: str, target: Any, number: int) -> str:
        """A name in the generated source for an object: its role and the number of its node or output."""
        name = f"{role}_{number}"
        self._names[name] = target
        return name

    def _variable(self, kind: str) -> str:
        return f"{kind}{next(self._variables)}"

    def _line(self, depth: int, text: str, where: tuple[str, str] | None = None) -> None:
        self._body.append("    " * depth + text)
        if where is not None:
            self._lines[len(self._body) + 1] = where  # line 1 is the factory's
