# SPDX-License-Identifier: Apache-2.0
"""Validates JSON on standard input against one of the schemas in docs/schema.

Arguments: DIRECTORY NAME. Every schema of the directory is checked, and can be referred to. Ends with 0 where the JSON is
valid; else says what is wrong with it, and ends with 1.
"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

directory, name = sys.argv[1:]
schemas = {path.name: json.loads(path.read_text()) for path in sorted(pathlib.Path(directory).glob("*.json"))}
for schema in schemas.values():
    Draft202012Validator.check_schema(schema)
registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas.values())
validator = Draft202012Validator(schemas[name], registry=registry)
errors = list(validator.iter_errors(json.load(sys.stdin)))
for error in errors:
    print(f"{error.json_path}: {error.message[:500]}")
sys.exit(1 if errors else 0)
