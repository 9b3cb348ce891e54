// SPDX-License-Identifier: Apache-2.0
//! Keys that never leave a PKCS#11 token: which one a URI names (RFC 7512), and how it signs (PKCS#11 v2.40 and v3.0).
//!
//! ```text
//! KeyUri ──find──▶ Token ──unlock──▶ TokenKey, a Signer
//! ```
//!
//! The module, a shared library of the token's maker, runs in this process with all that it may do. Paths and PINs come in
//! as arguments. Every call may wait for a device, or for somebody to touch it.

mod error;
mod key;
mod public;
mod token;
mod uri;

pub use error::{Found, TokenError};
pub use key::TokenKey;
pub use token::{Login, Token};
pub use uri::{KeyUri, MAX_URI, SCHEME, UriError};
