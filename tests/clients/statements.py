# SPDX-License-Identifier: Apache-2.0
"""Reads statements with in-toto-attestation: FILE... of DSSE envelopes in JSON, one a line.

Each must be a valid Statement v1, and a provenance one that SLSA's definition reads, with no field that it does not know.
Prints the predicate types, one a line.
"""

import base64
import json
import sys

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementProto

KNOWN = {"https://slsa.dev/provenance/v1": Provenance}
# Ours, and one whose definition in in-toto-attestation 0.9.3 is not that of SLSA: it has one level, as text, where SLSA 1.0
# and later have a list, and no versions of the verifier.
UNKNOWN = {"https://reprove.dev/rebuild-comparison/v0.1", "https://slsa.dev/verification_summary/v1"}


def statement(line):
    return json.loads(base64.b64decode(json.loads(line)["payload"]))


def main(files):
    for file in files:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                value = statement(line)
                read = Statement.copy_from_pb(json_format.ParseDict(value, StatementProto()))
                read.validate()
                kind = value["predicateType"]
                assert kind in KNOWN or kind in UNKNOWN, kind
                if kind in KNOWN:
                    json_format.ParseDict(value["predicate"], KNOWN[kind]())
                broken = dict(value, _type="https://in-toto.io/Statement/v0.1")
                try:
                    Statement.copy_from_pb(json_format.ParseDict(broken, StatementProto())).validate()
                except ValueError:
                    pass
                else:
                    raise AssertionError("a statement of another type must not be valid")
                print(kind)


if __name__ == "__main__":
    main(sys.argv[1:])
