// SPDX-License-Identifier: Apache-2.0
//! The key: finding the one that a URI names, and signing with it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use reprove_attest::{Algorithm, PublicKey, Signer, SignerError, ecdsa_p256_signature};
use reprove_model::Sha256;

use crate::error::{Found, MOST_LISTED, failed};
use crate::public::{self, algorithm};
use crate::{KeyUri, TokenError};

/// A private key on a token, whose user is logged in for as long as this is there.
pub struct TokenKey {
    /// One call at a time.
    session: Mutex<Session>,
    private: ObjectHandle,
    public: PublicKey,
}

impl TokenKey {
    /// The one private key that fits, with its public half.
    pub(crate) fn find(session: Session, uri: &KeyUri) -> Result<Self, TokenError> {
        let all = Object::all(&session, &[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
        let listed = |objects: &[&Object]| {
            Found(objects.iter().take(MOST_LISTED + 1).map(|object| object.to_string()).collect())
        };
        let fits = |object: &&Object| {
            uri.object.as_ref().is_none_or(|label| *label.as_bytes() == object.label)
                && uri.id.as_ref().is_none_or(|id| *id == object.id)
        };
        let fitting: Vec<&Object> = all.iter().filter(fits).collect();
        let private = match fitting.as_slice() {
            [] => return Err(TokenError::NoKey(listed(&all.iter().collect::<Vec<_>>()))),
            [one] => *one,
            many => return Err(TokenError::ManyKeys(listed(many))),
        };
        let algorithm = usable(&session, private)?;
        let public = public::of(&session, private, algorithm)?;
        Ok(Self { private: private.handle, session: Mutex::new(session), public })
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let keyid = self.public.id();
        let failed = |why: String| SignerError::Failed { keyid, why };
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let sign = |mechanism: &Mechanism<'_>, bytes: &[u8]| {
            session.sign(mechanism, self.private, bytes).map_err(|e| failed(e.to_string()))
        };
        match self.public.algorithm() {
            Algorithm::EcdsaP256 => {
                let raw = sign(&Mechanism::Ecdsa, Sha256::of(message).as_bytes())?;
                ecdsa_p256_signature(&raw).map_err(|_| SignerError::Wrong(keyid))
            }
            Algorithm::Ed25519 => sign(&Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), message),
        }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({}, keyid {})", self.public.algorithm(), self.public.id())
    }
}

/// An object on a token, with the names that it has there.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) handle: ObjectHandle,
    pub(crate) label: Vec<u8>,
    pub(crate) id: Vec<u8>,
}

impl Object {
    /// Every object that has these attributes.
    pub(crate) fn all(session: &Session, template: &[Attribute]) -> Result<Vec<Self>, TokenError> {
        let handles = session.find_objects(template).map_err(failed("looking for keys"))?;
        let named = handles.into_iter().map(|handle| {
            let mut this = Self { handle, label: Vec::new(), id: Vec::new() };
            for attribute in attributes(session, handle, &[AttributeType::Label, AttributeType::Id])? {
                match attribute {
                    Attribute::Label(label) => this.label = label,
                    Attribute::Id(id) => this.id = id,
                    _ => {}
                }
            }
            Ok(this)
        });
        named.collect()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (id ", String::from_utf8_lossy(&self.label))?;
        self.id.iter().try_for_each(|byte| write!(f, "%{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Those of the attributes that the object has and shows.
pub(crate) fn attributes(
    session: &Session,
    object: ObjectHandle,
    types: &[AttributeType],
) -> Result<Vec<Attribute>, TokenError> {
    session.get_attributes(object, types).map_err(failed("reading a key's attributes"))
}

/// How the key signs; only where it can, and may without more ado.
fn usable(session: &Session, private: &Object) -> Result<Algorithm, TokenError> {
    let wanted =
        [AttributeType::KeyType, AttributeType::EcParams, AttributeType::Sign, AttributeType::AlwaysAuthenticate];
    let (mut kind, mut curve) = (None, Vec::new());
    for attribute in attributes(session, private.handle, &wanted)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::EcParams(found) => curve = found,
            Attribute::Sign(false) => return Err(TokenError::MayNotSign),
            Attribute::AlwaysAuthenticate(true) => return Err(TokenError::PinEachTime),
            _ => {}
        }
    }
    match kind {
        Some(KeyType::EC | KeyType::EC_EDWARDS) => {
            algorithm(&curve).ok_or_else(|| TokenError::Kind("it is of another curve".into()))
        }
        Some(other) => Err(TokenError::Kind(format!("it is of the type {other}"))),
        None => Err(TokenError::Kind("the token does not say of which".into())),
    }
}
