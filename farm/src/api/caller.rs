// SPDX-License-Identifier: Apache-2.0
//! Who asks.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Api, Problem};
use crate::Name;
use crate::access::{self, Access, Credential, Role, Token};

/// The SPIFFE id of the certificate that a connection was opened with, where one was.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The id.
    pub spiffe: Option<String>,
    /// Where it comes from.
    pub address: std::net::IpAddr,
}

/// Whoever asks, where that is known.
#[derive(Clone, Debug)]
pub struct Caller {
    access: Option<Access>,
    anyone_may_read: bool,
}

impl Caller {
    /// Whoever asks, where they may do this.
    ///
    /// # Errors
    /// A [`Problem`]: 401 where nothing was shown, 403 where that is not enough.
    pub fn may(&self, role: Role) -> Result<(), Problem> {
        match &self.access {
            _ if role == Role::Read && self.anyone_may_read => Ok(()),
            Some(access) if access.may(role) => Ok(()),
            Some(access) => {
                let text = format!("{} may not {}: that takes a token with this role", access.name, role.name());
                Err(Problem::new(403, text))
            }
            None => Err(Problem::new(401, "that takes a token: Authorization: Bearer reprove_farm_…")),
        }
    }

    /// The same, with who it is.
    ///
    /// # Errors
    /// As [`Caller::may`].
    pub fn known(&self, role: Role) -> Result<&Access, Problem> {
        match &self.access {
            Some(access) if access.may(role) => Ok(access),
            _ => Err(self.may(role).err().unwrap_or_else(|| Problem::new(401, "that takes a token"))),
        }
    }

    /// What it is called; nobody who is known is `anyone`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.access.as_ref().map_or("anyone", |access| Name::as_str(&access.name))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let anyone_may_read = api.options.read_by_anyone;
        let peer = parts.extensions.get::<Peer>();
        let is_reading = parts.method.is_safe();
        let credential = match shown(&parts.headers, is_reading)? {
            Some(token) => Some(Credential::Token(token)),
            None => peer.and_then(|peer| peer.spiffe.clone()).map(Credential::Spiffe),
        };
        let Some(credential) = credential else { return Ok(Self { access: None, anyone_may_read }) };
        let now = api.coordinator.clock().now();
        // What is shown and not known is never taken for nothing shown.
        match access::find(api.coordinator.database(), credential, now).await? {
            Some(access) => Ok(Self { access: Some(access), anyone_may_read }),
            None => Err(Problem::new(401, "what was shown is not known here, or not any more")),
        }
    }
}

/// The token that is shown, where one is.
fn shown(headers: &HeaderMap, is_reading: bool) -> Result<Option<Token>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = || Problem::new(401, "the Authorization header holds no token of a farm");
    let (scheme, rest) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(wrong)?;
    let secret = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.to_owned(),
        // A browser shows it to whatever page asks, so that it is good for looking alone.
        "basic" if !is_reading => {
            return Err(Problem::new(401, "what changes anything takes a token as Authorization: Bearer"));
        }
        "basic" => {
            let bytes = STANDARD.decode(rest.trim()).map_err(|_| wrong())?;
            let text = String::from_utf8(bytes).map_err(|_| wrong())?;
            text.split_once(':').map(|(_, password)| password.to_owned()).ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    Token::read(&secret).map(Some).map_err(|_| wrong())
}

/// Whoever asks, where they have a role: looked at before anything of a body is read.
macro_rules! with_role {
    ($($(#[$doc:meta])* $name:ident: $role:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Access);

        impl FromRequestParts<Api> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
                let caller = Caller::from_request_parts(parts, api).await?;
                Ok(Self(caller.known($role)?.clone()))
            }
        }
    )*};
}
with_role! {
/// Who may ask for builds.
Submitter: Role::Submit;
/// Who may work.
AtWork: Role::Work;}

/// Who may administer.
pub(super) struct Administrator;

impl FromRequestParts<Api> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, api).await?.known(Role::Administer).map(|_| Self)
    }
}
