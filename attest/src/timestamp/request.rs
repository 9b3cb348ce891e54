// SPDX-License-Identifier: Apache-2.0
//! What an authority is asked, and whether it has answered that.

use cms::signed_data::SignedData;
use der::asn1::{Int, OctetString};
use der::oid::ObjectIdentifier;
use der::{Any, Decode as _, Encode as _};
use jiff::Timestamp;
use reprove_model::Sha256;
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

use super::{MAX_TIMESTAMP, TimestampError};

/// SHA-256 (RFC 5754, section 2.2).
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// One question: when is this signature here?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampRequest {
    imprint: MessageImprint,
    nonce: Int,
}

impl TimestampRequest {
    /// Asks about `signature`, with random bytes that only the answer to this question has.
    ///
    /// # Errors
    /// [`TimestampError::Form`] never, as far as is known: the encoding's own.
    pub fn new(signature: &[u8], nonce: [u8; 16]) -> Result<Self, TimestampError> {
        let form = |e: der::Error| TimestampError::Form(e.to_string());
        // A positive number without leading zeros, as DER has it.
        let [first, rest @ ..] = nonce;
        let nonce: Vec<u8> = [first & 0x3f | 0x40].into_iter().chain(rest).collect();
        let imprint = MessageImprint {
            hash_algorithm: spki::AlgorithmIdentifier { oid: SHA_256, parameters: Some(Any::null()) },
            hashed_message: OctetString::new(Sha256::of(signature).as_bytes().as_slice()).map_err(form)?,
        };
        Ok(Self { imprint, nonce: Int::new(&nonce).map_err(form)? })
    }

    /// What is sent (RFC 3161, section 2.4.1), DER; the authority's certificates are asked for as well.
    ///
    /// # Errors
    /// As [`TimestampRequest::new`].
    pub fn to_der(&self) -> Result<Vec<u8>, TimestampError> {
        let request = TimeStampReq {
            version: TspVersion::V1,
            message_imprint: self.imprint.clone(),
            req_policy: None,
            nonce: Some(self.nonce.clone()),
            cert_req: true,
            extensions: None,
        };
        request.to_der().map_err(|e| TimestampError::Form(e.to_string()))
    }

    /// Whether `response` grants what was asked, and the time that it says. Whose word it is, is not looked at.
    ///
    /// # Errors
    /// See [`TimestampError`].
    pub fn answered_by(&self, response: &[u8]) -> Result<Timestamp, TimestampError> {
        let info = info(response)?;
        if info.nonce.as_ref() != Some(&self.nonce) {
            return Err(TimestampError::OtherQuestion("nonce"));
        }
        let found = &info.message_imprint;
        if found.hash_algorithm.oid != self.imprint.hash_algorithm.oid
            || found.hashed_message != self.imprint.hashed_message
        {
            return Err(TimestampError::OtherQuestion("digest"));
        }
        time(&info)
    }
}

/// The time that an authority's answer says. Unverified.
pub(super) fn timestamp_of(response: &[u8]) -> Result<Timestamp, TimestampError> {
    time(&info(response)?)
}

fn time(info: &TstInfo) -> Result<Timestamp, TimestampError> {
    let time = Timestamp::try_from(info.gen_time.to_system_time());
    time.map_err(|e| TimestampError::Form(e.to_string()))
}

fn info(response: &[u8]) -> Result<TstInfo, TimestampError> {
    if response.len() > MAX_TIMESTAMP {
        return Err(TimestampError::TooLong(response.len()));
    }
    let form = |e: der::Error| TimestampError::Form(e.to_string());
    let response = TimeStampResp::from_der(response).map_err(form)?;
    let token = match response.time_stamp_token {
        Some(token) if matches!(response.status.status as u32, 0 | 1) => token,
        _ => return Err(TimestampError::NotGranted(format!("its status is {:?}", response.status.status))),
    };
    let signed = SignedData::from_der(&token.content.to_der().map_err(form)?).map_err(form)?;
    let content = signed.encap_content_info.econtent;
    let content = content.ok_or_else(|| TimestampError::Form("it has no content".into()))?;
    TstInfo::from_der(content.value()).map_err(form)
}
