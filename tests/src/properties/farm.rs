// SPDX-License-Identifier: Apache-2.0
//! What workers and callers send to a farm.

use reprove_attest::{Envelope, SigningKey};
use reprove_farm::api::TrustDomain;
use reprove_farm::{Profile, Report, Request, VerifiedReport};
use reprove_model::canonical;

fn key() -> SigningKey {
    SigningKey::ed25519([1; 32])
}

/// Whatever a worker signs: what is read of it is written as the same bytes again, and is no longer than the bound.
pub(super) fn report(bytes: &[u8]) {
    let envelope = Envelope::sign(&key(), bytes).unwrap();
    let Ok(verified) = VerifiedReport::verify(&envelope, &key().public_key()) else { return };
    assert!(bytes.len() <= Report::MAX_BYTES);
    assert!(VerifiedReport::verify(&envelope, &SigningKey::ed25519([2; 32]).public_key()).is_err());
    let report = canonical::to_vec(verified.report()).unwrap();
    assert_eq!(canonical::from_slice::<Report>(&report).unwrap(), *verified.report());
}

/// A profile counts where the key that it names has signed it.
pub(super) fn profile(bytes: &[u8]) {
    let envelope = Envelope::sign(&key(), bytes).unwrap();
    let Ok((profile, signer)) = Profile::verify(&envelope) else { return };
    assert_eq!((signer.id(), profile.platform.chars().any(char::is_control)), (key().public_key().id(), false));
    let other = Envelope::sign(&SigningKey::ed25519([2; 32]), bytes).unwrap();
    assert!(Profile::verify(&other).is_err());
}

/// A request that passes its check has one canonical form, and one key whatever its priority is.
pub(super) fn request(bytes: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(bytes) else { return };
    if request.check().is_err() {
        return;
    }
    let written = canonical::to_vec(&request).unwrap();
    assert_eq!(canonical::from_slice::<Request>(&written).unwrap(), request);
    let urgent = Request { priority: reprove_farm::Priority::High, ..request.clone() };
    assert_eq!(urgent.key().unwrap(), request.key().unwrap());
}

/// A certificate is for an id of the domain, or for none.
pub(super) fn svid(bytes: &[u8]) {
    let domain: TrustDomain = "example.org".parse().unwrap();
    if let Some(id) = domain.id_of(&bytes.to_vec().into()) {
        assert!(domain.has(&id), "{id}");
    }
}
