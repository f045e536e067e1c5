"""Build the grammar under which a model names a tool call, and read the call back.

The grammar (llama.cpp's GBNF) admits one JSON object on one line and nothing else: a call of one of the tools with
arguments its schema allows, `{"name": "service_status", "arguments": {"services": ["sshd"]}}`, or
`{"name": null, "arguments": {}}` for no tool. The reader then parses plain JSON and
never searches prose.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

MAX_TEXT = 64  # characters of a string: the longest host name label; more would be the model rambling
MAX_ITEMS = 8  # of a list, as in arguments.py
MAX_DIGITS = 4
NO_CALL: dict[str, Any] = {"name": None, "arguments": {}}
NO_CALL_TEXT = json.dumps(NO_CALL)

_PRIMITIVES = {
    "string": rf'"\"" [a-zA-Z0-9._:/@ -]{{1,{MAX_TEXT}}} "\""',
    "integer": f"[1-9] [0-9]{{0,{MAX_DIGITS - 1}}}",
    "number": f'"-"? [0-9]{{1,{MAX_DIGITS}}} ("." [0-9]{{1,{MAX_DIGITS}}})?',
    "boolean": '"true" | "false"',
}

Schema = Mapping[str, Any]


def grammar(schemas: Sequence[Schema]) -> str:
    """Return the GBNF text for `schemas`, which have the form chat templates take (`Registry.schemas()`).

    Raises ValueError for a parameter of a type it has no rule for.
    """
    functions = [schema.get("function", schema) for schema in schemas]
    rules = [f"root ::= {' | '.join(['none', *(_rule(function['name']) for function in functions)])}"]
    rules.append(f"none ::= {_literal(NO_CALL_TEXT)}")
    for function in functions:
        rules += _function_rules(function)
    rules += [f"{name} ::= {body}" for name, body in _PRIMITIVES.items()]
    return "\n".join(rules) + "\n"


def read_call(text: str, schemas: Sequence[Schema]) -> tuple[str | None, dict[str, Any]]:
    """Return tool and arguments of a call written under the grammar; (None, {}) for none.

    A server may ignore the grammar, so check everything. Raises ValueError when the text is cut off, is no
    plain JSON, says a name twice, names no known tool or gives arguments that its schema does not allow; RecursionError
    when it nests too deep.
    """
    call = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse)
    if call == NO_CALL:
        return None, {}
    known = {function["name"]: function for function in (schema.get("function", schema) for schema in schemas)}
    match call:
        case {"name": str(name), "arguments": dict(arguments)} if name in known and len(call) == 2:
            schema = {**known[name].get("parameters", {}), "additionalProperties": False}
            if not Draft202012Validator(schema).is_valid(arguments):
                raise ValueError(f"{text[:200]!r} has arguments that {name} does not take")
            return name, arguments
    raise ValueError(f"{text[:200]!r} is no call of a known tool; known are {', '.join(known)}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _function_rules(function: Schema) -> Iterator[str]:
    """Yield the rules of one tool: the call, what may follow each argument, and each argument."""
    name, rule = function["name"], _rule(function["name"])
    properties = _properties(function)
    required = set(function.get("parameters", {}).get("required", ()))
    start = _literal('{"name": ' + json.dumps(name) + ', "arguments": {')
    yield f"{rule} ::= {start} {_rest(rule, list(properties), required, 0, first=True)} {_literal('}}')}"
    for at, (argument, schema) in enumerate(properties.items()):
        yield f"{rule}-{at} ::= {_literal(json.dumps(argument) + ': ')} {_value(schema)} {rule}-{at}-rest"
        yield f"{rule}-{at}-rest ::= {_rest(rule, list(properties), required, at + 1, first=False)}"


def _rest(rule: str, arguments: Sequence[str], required: set[str], at: int, *, first: bool) -> str:
    """Return what may stand after argument `at - 1`: a later one, not past a required one, or the end."""
    comma = "" if first else _literal(", ") + " "
    options = []
    for following in range(at, len(arguments)):
        options.append(f"{comma}{rule}-{following}")
        if arguments[following] in required:
            return f"({' | '.join(options)})"
    return f"({' | '.join(options)})?" if options else '""'


def _value(schema: Schema) -> str:
    """Return the rule of one value. Types of several kinds (`["string", "null"]`) take the first that has a rule."""
    if "enum" in schema:
        return "(" + " | ".join(_literal(json.dumps(value)) for value in schema["enum"]) + ")"
    kinds = schema.get("type")
    for kind in [kinds] if isinstance(kinds, str) else kinds or []:
        if kind in _PRIMITIVES:
            return str(kind)
        if kind == "array":
            item = _value(schema.get("items", {"type": "string"}))
            return rf'"[" {item} ({_literal(", ")} {item}){{0,{MAX_ITEMS - 1}}} "]"'
    raise ValueError(f"no grammar rule for the type in {schema}; use string, integer, number, boolean, enum or list")


def _properties(function: Schema) -> dict[str, Schema]:
    return dict(function.get("parameters", {}).get("properties", {}))


def _rule(name: str) -> str:
    return "call-" + name.replace("_", "-")


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
