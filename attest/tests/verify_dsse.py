# SPDX-License-Identifier: Apache-2.0
"""Verifies a DSSE envelope with securesystemslib: ENVELOPE KEY OTHER-KEY PRIVATE-KEY, the last three in PEM.

The envelope must verify with the key, and with nothing changed; prints "verified" if all is as it should be.
"""

import base64
import copy
import hashlib
import json
import sys

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def read(path):
    with open(path, "rb") as file:
        return file.read()


def key_of(pem, keyid=None):
    """The key, under the name that this format gives it: the SHA-256 of its DER SubjectPublicKeyInfo, in base64."""
    public = load_pem_public_key(pem)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    own = base64.standard_b64encode(hashlib.sha256(der).digest()).decode("ascii")
    return SSlibKey.from_crypto(public, keyid=keyid or own)


def verifies(data, key):
    try:
        Envelope.from_dict(copy.deepcopy(data)).verify([key], 1)
    except VerificationError:
        return False
    return True


def main(envelope, ours, other, private):
    data = json.loads(read(envelope))
    key = key_of(read(ours))
    keyid = data["signatures"][0]["keyid"]
    assert key.keyid == keyid, "the keyid is not the SHA-256 of the DER"
    assert verifies(data, key), "the envelope must verify"

    changed = copy.deepcopy(data)
    payload = bytearray(base64.b64decode(changed["payload"]))
    payload[0] ^= 1
    changed["payload"] = base64.standard_b64encode(bytes(payload)).decode("ascii")
    assert not verifies(changed, key), "a changed payload must not verify"

    changed = copy.deepcopy(data)
    changed["payloadType"] += "x"
    assert not verifies(changed, key), "a changed payload type must not verify"

    assert not verifies(data, key_of(read(other))), "another key must not verify"
    assert not verifies(data, key_of(read(other), keyid)), "another key under the same name must not verify"

    loaded = load_pem_private_key(read(private), password=None).public_key()
    assert loaded == load_pem_public_key(read(ours)), "the private key is not that of the public key"
    print("verified")


if __name__ == "__main__":
    main(*sys.argv[1:])
