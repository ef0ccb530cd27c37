"""The REST service described: for programs as OpenAPI (FastAPI answers /openapi.json), for people as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from lookalike.server.pages import page
from lookalike.server.service import Serving

router = APIRouter(include_in_schema=False)

Schema: TypeAlias = Mapping[str, Any]
Kinds: TypeAlias = list[tuple[str, bool]]
"""Names of types, and whether each is a schema that the page has a section of."""

Contents: TypeAlias = list[tuple[str, Kinds]]
"""Media types, with what they hold."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of a request or an answer."""

    name: str
    kinds: Kinds
    text: str
    needed: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One way to ask: `sends` is what it takes, with examples; `answers` are by status, and so are problems."""

    method: str
    path: str
    text: list[str]
    parameters: list[Field]
    sends: Contents
    examples: list[str]
    answers: list[tuple[str, str, Contents]]
    problems: list[tuple[str, str]]


@router.get("/docs")
async def docs(service: Serving, request: Request) -> HTMLResponse:
    described = request.app.openapi()
    groups: dict[str, list[Operation]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation, described))
    schemas = {name: list(_fields(schema)) for name, schema in described["components"]["schemas"].items()}
    return page(
        "docs.html", collection=None, groups=groups, schemas=schemas, guarded=service.settings.token is not None
    )


def _operation(method: str, path: str, operation: Schema, described: Schema) -> Operation:
    body = operation.get("requestBody", {}).get("content", {})
    answers = sorted(operation["responses"].items())
    return Operation(
        method.upper(),
        path,
        [" ".join(text.split()) for text in operation.get("description", operation["summary"]).split("\n\n")],
        [
            Field(each["name"], _kinds(each["schema"]), _text(each["schema"] | each), each.get("required", False))
            for each in operation.get("parameters", ())
        ],
        _contents(body),
        [json.dumps(example, indent=2) for each in body.values() for example in _examples(each["schema"], described)],
        [(status, each["description"], _contents(each.get("content", {}))) for status, each in answers if status < "4"],
        [(status, each["description"]) for status, each in answers if "4" <= status < "6"],
    )


def _contents(content: Schema) -> Contents:
    return [(kind, _kinds(each.get("schema", {}))) for kind, each in content.items()]


def _examples(schema: Schema, described: Schema) -> list[Any]:
    if "$ref" in schema:
        schema = described["components"]["schemas"][_name(schema)]
    return list(schema.get("examples", ())) + ([schema["example"]] if "example" in schema else [])


def _fields(schema: Schema) -> Iterator[Field]:
    for name, own in schema.get("properties", {}).items():
        yield Field(name, _kinds(own), _text(own), name in schema.get("required", ()))


def _kinds(schema: Schema) -> Kinds:
    """The types that a value may have."""
    if "$ref" in schema:
        return [(_name(schema), True)]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return [kind for each in schema[choice] for kind in _kinds(each)]
    if "enum" in schema or "const" in schema:
        return [(json.dumps(value), False) for value in schema.get("enum", [schema.get("const")])]
    if schema.get("type") == "array":
        return [("list of", False), *_kinds(schema.get("items", {}))]
    return [(schema.get("format") or schema.get("type") or "anything", False)]


def _text(schema: Schema) -> str:
    """What is said of a value, its limits and what it is if it is left out."""
    limits = {"minimum": "from {}", "maximum": "to {}", "maxLength": "at most {} characters", "maxItems": "at most {}"}
    told = [text.format(schema[name]) for name, text in limits.items() if name in schema]
    if schema.get("default") not in (None, [], {}):
        told.append(f"if left out: {json.dumps(schema['default'])}")
    return " ".join([schema.get("description", ""), *([f"({', '.join(told)})"] if told else [])]).strip()


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
