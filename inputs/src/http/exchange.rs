// SPDX-License-Identifier: Apache-2.0
//! Questions to one server, with the machine's curl: with their headers, and with a token where it wants one.

use std::io::Write as _;
use std::time::Duration;

use serde::Deserialize;
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use super::{Answer, AskError, answer};

/// How long one answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// The most bytes of an answer's headers that are read.
const MAX_HEADERS: usize = 64 << 10;
/// The longest token.
const MAX_TOKEN: usize = 32 << 10;
/// The most bytes of an answer that refuses something.
const MAX_REFUSAL: u64 = 64 << 10;

/// A server that is asked.
#[derive(Debug)]
pub(crate) struct Exchange {
    origin: String,
    scheme: &'static str,
    token: Option<String>,
}

/// What it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Of the last answer, where it led on; names in small letters.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The first header of that name, in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The begin of what came, made harmless for a terminal.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

impl Exchange {
    /// One with `host`, by `http` or `https`.
    pub(crate) fn with(scheme: &'static str, host: &str) -> Self {
        Self { origin: format!("{scheme}://{host}"), scheme, token: None }
    }

    /// Asks for `place`, a path or an address of the same server, and gives what comes, of at most `most` bytes. Where the
    /// server wants a token, that is asked for once, with what `~/.netrc` has for the place where tokens are.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        place: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        most: u64,
    ) -> Result<Reply, AskError> {
        let url = self.address(place)?;
        let most = most.max(MAX_REFUSAL);
        let reply = self.once(method, &url, headers, body, most).await?;
        let wanted = reply.header("www-authenticate").filter(|_| reply.status == 401).and_then(Bearer::read);
        let Some(wanted) = wanted.filter(|_| self.token.is_none()) else { return Ok(reply) };
        self.token = Some(self.token(&wanted).await?);
        self.once(method, &url, headers, body, most).await
    }

    fn address(&self, place: &str) -> Result<String, AskError> {
        let url = if place.starts_with('/') { format!("{}{place}", self.origin) } else { place.to_owned() };
        let is_own = url.strip_prefix(&self.origin).is_some_and(|rest| rest.starts_with('/'));
        if is_own && url.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(url);
        }
        Err(AskError::Url(url.chars().filter(|c| !c.is_control()).take(200).collect()))
    }

    async fn once(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        most: u64,
    ) -> Result<Reply, AskError> {
        let mut curl = Command::new("curl");
        if method == "HEAD" {
            curl.arg("--head").args(["--output", "/dev/null"]);
        } else {
            curl.args(["--request", method]);
        }
        if method == "GET" {
            // Where a blob is kept elsewhere. A header of ours does not go there with it.
            curl.args(["--location", "--max-redirs", "5", "--proto-redir"]).arg(format!("=https,{}", self.scheme));
        }
        for (name, value) in headers {
            curl.arg("--header").arg(format!("{name}: {value}"));
        }
        let mut secret = NamedTempFile::new()?;
        if let Some(token) = &self.token {
            writeln!(secret, "Authorization: Bearer {token}")?;
            let mut from = std::ffi::OsString::from("@");
            from.push(secret.path());
            curl.arg("--header").arg(from);
        }
        run(curl, self.scheme, url, body, most).await
    }

    async fn token(&self, wanted: &Bearer) -> Result<String, AskError> {
        let failed = |why: &str| AskError::Failed { url: wanted.realm.clone(), why: why.to_owned() };
        let allowed = [format!("{}://", self.scheme), "https://".into()];
        if !allowed.iter().any(|scheme| wanted.realm.starts_with(scheme.as_str())) {
            return Err(AskError::Url(wanted.realm.clone()));
        }
        let mut curl = Command::new("curl");
        curl.args(["--get", "--netrc-optional"]);
        for (name, value) in [("service", &wanted.service), ("scope", &wanted.scope)] {
            if let Some(value) = value {
                curl.arg("--data-urlencode").arg(format!("{name}={value}"));
            }
        }
        let scheme = if wanted.realm.starts_with("https://") { "https" } else { self.scheme };
        let reply = run(curl, scheme, &wanted.realm, None, MAX_REFUSAL).await?;
        if reply.status != 200 {
            return Err(failed("it gives no token; put what it knows you by into ~/.netrc"));
        }
        let Token { token, access_token } =
            serde_json::from_slice(&reply.body).map_err(|_| failed("what it gives is no token"))?;
        let is_token = |token: &String| token.len() <= MAX_TOKEN && token.chars().all(|c| c.is_ascii_graphic());
        token.or(access_token).filter(is_token).ok_or_else(|| failed("what it gives is no token"))
    }
}

async fn run(mut curl: Command, scheme: &str, url: &str, body: Option<&[u8]>, most: u64) -> Result<Reply, AskError> {
    let place = TempDir::new()?;
    let (question, heads) = (place.path().join("question"), place.path().join("heads"));
    if let Some(body) = body {
        std::fs::write(&question, body)?;
        let mut data = std::ffi::OsString::from("@");
        data.push(&question);
        curl.arg("--data-binary").arg(data);
    }
    curl.args(["--silent", "--globoff", "--show-error", "--netrc-optional", "--proto"]).arg(format!("={scheme}"));
    curl.args(["--write-out", "%{http_code}", "--dump-header"]).arg(&heads).args(["--url", url]);
    let Answer { status, body } = answer(curl, url, TIME_LIMIT, most).await?;
    let heads = std::fs::read(&heads)?;
    if heads.len() > MAX_HEADERS {
        let why = format!("its headers have more than {MAX_HEADERS} bytes");
        return Err(AskError::Failed { url: url.to_owned(), why });
    }
    Ok(Reply { status, headers: last(&String::from_utf8_lossy(&heads)), body })
}

/// The headers of the last answer: each answer begins with its status.
fn last(text: &str) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for line in text.lines() {
        if line.starts_with("HTTP/") {
            headers.clear();
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    headers
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What a server wants a token for, and where there are some (RFC 6750, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Bearer {
    /// What a question for a token has in it: where it is asked, and what for.
    pub(crate) fn parts(&self) -> [&str; 3] {
        [self.realm.as_str(), self.service.as_deref().unwrap_or_default(), self.scope.as_deref().unwrap_or_default()]
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") || text.len() > 4096 {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, next) = after.split_once('"')?;
            let value = Some(value.to_owned()).filter(|value| value.chars().all(|c| c.is_ascii_graphic() || c == ' '));
            match name.trim_start_matches([',', ' ']) {
                "realm" => realm = value,
                "service" => service = value,
                "scope" => scope = value,
                _ => {}
            }
            rest = next;
        }
        Some(Self { realm: realm?, service, scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_wants_a_token_for_is_read() {
        let read = Bearer::read(
            "Bearer realm=\"https://auth.example/token\",service=\"r.example\", scope=\"repository:a/b:pull,push\"",
        );
        let Bearer { realm, service, scope } = read.unwrap();
        assert_eq!((realm.as_str(), service.as_deref()), ("https://auth.example/token", Some("r.example")));
        assert_eq!(scope.as_deref(), Some("repository:a/b:pull,push"));
        for none in
            ["Basic realm=\"x\"", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"x", "Bearer realm=\"a\u{1b}\""]
        {
            assert_eq!(Bearer::read(none), None, "{none}");
        }
        let long = |n: usize| Bearer::read(&format!("Bearer realm=\"{}\"", "a".repeat(n - 15)));
        assert!(long(4096).is_some() && long(4097).is_none());
    }

    #[test]
    fn only_one_server_is_asked() {
        let exchange = Exchange::with("https", "r.example");
        assert_eq!(exchange.address("/v2/").unwrap(), "https://r.example/v2/");
        assert!(exchange.address("https://r.example/v2/").is_ok());
        for other in
            ["https://r.example.org/", "http://r.example/", "https://r.example@x/", "file:///etc", "/a b", "//x\n"]
        {
            assert!(exchange.address(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn the_last_answer_s_headers_count() {
        let text = "HTTP/1.1 307 x\r\nLocation: /a\r\n\r\nHTTP/1.1 200 OK\r\nOCI-Subject: sha256:0\r\n\r\n";
        assert_eq!(last(text), [("oci-subject".to_owned(), "sha256:0".to_owned())]);
    }
}
