"""The description of the API with the columns of one run put in, for generators of clients and of tests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def put_row_schema(document: dict[str, Any], run: str, hello: dict[str, Any]) -> dict[str, Any]:
    """The description of what one run answers, in which a row has the run's columns, and a refused request is left out."""
    found = deepcopy(document)
    prefix = "/v1/runs/{run}"
    found["paths"] = {
        path.replace("{run}", run): drop_run(own)
        for path, own in found["paths"].items()
        if not path.startswith(f"{prefix}/")
        or "refused" not in hello["tasks"].get(path.removeprefix(f"{prefix}/"), {})
    }
    schemas = found["components"]["schemas"]
    schemas["Row"] = hello["row"]
    names = list(hello["row"].get("properties", {}))
    for own in schemas.values():
        for field, kind in own.get("properties", {}).items() if own is not hello["row"] else ():
            if field == "rows":
                kind["items"] = {"$ref": "#/components/schemas/Row"}
            elif field in ("a", "b") and "anyOf" in kind:
                own["properties"][field] = {"$ref": "#/components/schemas/Row"}
            elif field == "target" and names:
                own["properties"][field] = {"type": "string", "enum": names}
    return found


def drop_run(path: dict[str, Any]) -> dict[str, Any]:
    """A path without its parameter `run`, which now stands in it."""
    for operation in path.values():
        rest = [each for each in operation.get("parameters", []) if each["name"] != "run"]
        operation.pop("parameters", None)
        if rest:
            operation["parameters"] = rest
    return path
