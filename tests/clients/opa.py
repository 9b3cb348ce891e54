# SPDX-License-Identifier: Apache-2.0
"""Decides with Open Policy Agent: INPUT... -- POLICY... of files in JSON and in Rego.

Prints one JSON array a policy, with an array of messages an input: what `deny` says, and what is wrong with `allow`. An empty
one is an allowed one. The rule is that of docs/rego.md, over the documents as OPA gives them.
"""

import json
import sys

from opa_bindings import OpaEngine


def document(engine, name, value):
    # A query of a package has all of its rules, and not those that are undefined.
    results = engine.eval_query(f"x = data.reprove.{name}", value)
    return [result["x"] for result in results]


def decided(engine, value):
    (deny,) = document(engine, "deny", value) or [[]]
    allow = document(engine, "allow", value)
    if not isinstance(deny, list) or not all(isinstance(message, str) for message in deny):
        return ["deny is no set"]
    if not allow:
        return [*deny, "allow is undefined"]
    if not isinstance(allow[0], bool):
        return [*deny, "allow is no boolean"]
    return deny if allow[0] or deny else ["allow is false"]


def main(inputs, policies):
    values = []
    for path in inputs:
        with open(path, encoding="utf-8") as file:
            values.append(json.load(file))
    for path in policies:
        with OpaEngine() as engine:
            with open(path, encoding="utf-8") as file:
                engine.add_policy("policy.rego", file.read())
            print(json.dumps([decided(engine, value) for value in values]))


if __name__ == "__main__":
    between = sys.argv.index("--")
    main(sys.argv[1:between], sys.argv[between + 1 :])
