# SPDX-License-Identifier: Apache-2.0
"""How often a second securesystemslib verifies all envelopes of a list on standard input: KEY-PEM SECONDS."""

import base64
import hashlib
import json
import sys
import time

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

public = load_pem_public_key(sys.argv[1].encode())
der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
key = SSlibKey.from_crypto(public, keyid=base64.standard_b64encode(hashlib.sha256(der).digest()).decode())
envelopes = [Envelope.from_dict(data) for data in json.load(sys.stdin)]
start, count = time.perf_counter(), 0
while time.perf_counter() - start < float(sys.argv[2]):
    for envelope in envelopes:
        envelope.verify([key], 1)
    count += 1
print(count / (time.perf_counter() - start))
