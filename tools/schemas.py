"""Derive a tool's schema, in the form that chat templates take, from its signature and docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from docstring_parser import DocstringStyle, parse
from pydantic import TypeAdapter


class UndescribedArgument(ValueError):
    """Raised for an argument without a type or a description; the message names it."""


def schema(function: Callable[..., object], description: str) -> dict[str, Any]:
    """Return the function's schema without `host`, which no caller gives."""
    arguments = {name: value for name, value in inspect.signature(function).parameters.items() if name != "host"}
    properties = {name: _property(function, name) for name in arguments}
    required = [name for name, value in arguments.items() if value.default is value.empty]
    parameters = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    named = {"name": function.__name__, "description": description, "parameters": parameters}
    return {"type": "function", "function": named}


def _property(function: Callable[..., object], name: str) -> dict[str, Any]:
    hints = get_type_hints(function)
    documented = parse(function.__doc__ or "", DocstringStyle.GOOGLE).params
    said = {argument.arg_name: " ".join((argument.description or "").split()) for argument in documented}
    if name not in hints or not said.get(name):
        raise UndescribedArgument(f"{function.__name__}: give the argument {name} a type, and a line under `Args:`")
    kinds = get_args(hints[name]) if get_origin(hints[name]) in (Union, UnionType) else (hints[name],)
    kind = reduce(or_, [kind for kind in kinds if kind is not NoneType])
    nullable = {"nullable": True} if NoneType in kinds else {}
    return TypeAdapter(kind).json_schema() | nullable | {"description": said[name]}
