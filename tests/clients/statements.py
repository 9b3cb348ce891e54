# SPDX-License-Identifier: Apache-2.0
"""Reads statements with in-toto-attestation: FILE... of DSSE envelopes in JSON, one a line.

Each must be a valid Statement v1, and a provenance or an attribute report one that its definition reads, with no field that it
does not know. Prints the predicate types, one a line.
"""

import base64
import json
import sys

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.predicates.scai.v0.scai import AttributeReport
from in_toto_attestation.predicates.scai.v0.scai_pb2 import AttributeReport as AttributeReportProto
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementProto

SCAI = "https://in-toto.io/attestation/scai/v0.3"
KNOWN = {"https://slsa.dev/provenance/v1": Provenance, SCAI: AttributeReportProto}
# Ours, and one whose definition in in-toto-attestation 0.9.3 is not that of SLSA: it has one level, as text, where SLSA 1.0
# and later have a list, and no versions of the verifier.
UNKNOWN = {"https://reprove.dev/rebuild-comparison/v0.1", "https://slsa.dev/verification_summary/v1"}


def statement(line):
    return json.loads(base64.b64decode(json.loads(line)["payload"]))


def refused(validate, value):
    try:
        validate(value)
    except ValueError:
        return True
    return False


def validate_statement(value):
    Statement.copy_from_pb(json_format.ParseDict(value, StatementProto())).validate()


def validate_report(predicate):
    """One attribute at least, each with a name, and descriptors that say what they describe."""
    # `copy_from_pb` of 0.9.3 makes one of no attribute first, which is refused.
    report = AttributeReport([])
    report.pb.CopyFrom(json_format.ParseDict(predicate, AttributeReportProto()))
    report.validate()


def check_report(predicate):
    validate_report(predicate)
    attribute = predicate["attributes"][0]
    for broken in [[], [dict(attribute, attribute="")], [dict(attribute, evidence={"mediaType": "a/b"})]]:
        assert refused(validate_report, dict(predicate, attributes=broken)), broken


def main(files):
    for file in files:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                value = statement(line)
                validate_statement(value)
                kind = value["predicateType"]
                assert kind in KNOWN or kind in UNKNOWN, kind
                if kind in KNOWN:
                    json_format.ParseDict(value["predicate"], KNOWN[kind]())
                if kind == SCAI:
                    check_report(value["predicate"])
                assert refused(validate_statement, dict(value, _type="https://in-toto.io/Statement/v0.1"))
                print(kind)


if __name__ == "__main__":
    main(sys.argv[1:])
