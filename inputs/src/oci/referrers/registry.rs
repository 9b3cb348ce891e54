// SPDX-License-Identifier: Apache-2.0
//! Artifacts in a registry (distribution-spec 1.1), by the machine's curl.
//!
//! skopeo has no word for `subject`. Credentials are those of curl's own file, `~/.netrc`, from which a registry's token is
//! asked for where it wants one.

use reprove_model::{ImageReference, Sha256};

use super::super::documents::{Described, Index, MAX_BYTES, Reader};
use super::super::skopeo::is_loopback;
use super::{EMPTY, INDEX, ImageError, MANIFEST, MAX_REFERRERS, PROOF_TYPE, Subject, Way, blob_of, may_be_proof, with};
use crate::InputsError;
use crate::http::exchange::{Exchange, Reply};

/// What may be asked for as an image: the specification's types, and Docker's.
const IMAGES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// How often an index is written that somebody else writes at the same time.
const TRIES: usize = 3;
/// How many parts of a list are asked for.
const MAX_PARTS: usize = 50;

/// A repository of a registry.
pub(super) struct Registry {
    exchange: Exchange,
    name: String,
}

impl Registry {
    pub(super) fn new(host: &str, name: &str) -> Self {
        let scheme = if is_loopback(host) { "http" } else { "https" };
        Self { exchange: Exchange::with(scheme, host), name: name.to_owned() }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.name)
    }

    /// What a reference names.
    pub(super) async fn subject(&mut self, asked: &ImageReference) -> Result<Subject, InputsError> {
        let which = match (&asked.digest, &asked.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".into()),
        };
        let reply = self.get(&format!("manifests/{which}"), IMAGES, MAX_BYTES).await?;
        let bytes = found(reply, || format!("the image {asked}"))?;
        let digest = Sha256::of(&bytes);
        if let Some(said) = asked.digest.filter(|said| *said != digest) {
            return Err(ImageError::Digest { said, here: digest }.into());
        }
        let media_type = Reader::read(&bytes)?.media_type().to_owned();
        Ok(Subject { media_type, digest, size: bytes.len() as u64 })
    }

    pub(super) async fn attach(
        &mut self,
        subject: &Subject,
        manifest: &[u8],
        proof: &[u8],
    ) -> Result<(Sha256, Way), InputsError> {
        self.push_blob(EMPTY.1).await?;
        self.push_blob(proof).await?;
        let digest = Sha256::of(manifest);
        let reply = self.put(&format!("manifests/sha256:{digest}"), MANIFEST, manifest).await?;
        let knows = reply.header("oci-subject").is_some();
        created(&reply, "a manifest")?;
        // A registry that lists artifacts itself says so ("Pushing Manifests with Subject").
        if knows {
            return Ok((digest, Way::Api));
        }
        for _ in 0..TRIES {
            let Some(index) = with(self.by_tag(&subject.digest).await?.as_deref(), manifest)? else {
                return Ok((digest, Way::Tag));
            };
            let reply = self.put(&format!("manifests/{}", tag(&subject.digest)), INDEX, &index).await?;
            created(&reply, "an index")?;
        }
        match with(self.by_tag(&subject.digest).await?.as_deref(), manifest)? {
            None => Ok((digest, Way::Tag)),
            Some(_) => Err(ImageError::Contended(tag(&subject.digest)).into()),
        }
    }

    pub(super) async fn proofs(
        &mut self,
        subject: &Sha256,
        most: u64,
    ) -> Result<(Way, Vec<(Sha256, Vec<u8>)>), InputsError> {
        let (way, listed) = self.listed(subject).await?;
        let mut proofs = Vec::new();
        for one in listed.iter().filter(|one| may_be_proof(one)) {
            let reply = self.get(&format!("manifests/sha256:{}", one.digest), MANIFEST, MAX_BYTES).await?;
            let manifest = checked(found(reply, || format!("the artifact {}", one.digest))?, &one.digest)?;
            let Some(blob) = blob_of(&manifest, subject)? else { continue };
            if blob.size > most {
                let what = format!("the proof {}", blob.digest);
                return Err(ImageError::TooLarge { what, size: blob.size, most }.into());
            }
            let reply = self.get(&format!("blobs/sha256:{}", blob.digest), "*/*", blob.size).await?;
            let proof = checked(found(reply, || format!("the proof {}", blob.digest))?, &blob.digest)?;
            proofs.push((one.digest, proof));
        }
        Ok((way, proofs))
    }

    /// What is attached to a subject, as far as the registry says.
    async fn listed(&mut self, subject: &Sha256) -> Result<(Way, Vec<Described>), InputsError> {
        let kind = PROOF_TYPE.replace('+', "%2B");
        let mut next = Some(self.path(&format!("referrers/sha256:{subject}?artifactType={kind}")));
        let mut all = Vec::new();
        for part in 0..MAX_PARTS {
            let Some(path) = next.take() else { return Ok((Way::Api, all)) };
            let reply = self.exchange.ask("GET", &path, &[("Accept", INDEX)], None, MAX_BYTES).await?;
            if part == 0 && reply.status == 404 {
                let index = self.by_tag(subject).await?;
                let listed = index.map(|index| Index::read(&index)).transpose()?;
                return Ok((Way::Tag, listed.map(|index| index.images).unwrap_or_default()));
            }
            next = reply.header("link").and_then(following).map(str::to_owned);
            all.extend(Index::read(&found(reply, || "the list of artifacts".into())?)?.images);
            if all.len() > MAX_REFERRERS {
                break;
            }
        }
        Err(ImageError::TooMany(MAX_REFERRERS).into())
    }

    /// The index under a subject's tag, where there is one.
    async fn by_tag(&mut self, subject: &Sha256) -> Result<Option<Vec<u8>>, InputsError> {
        let reply = self.get(&format!("manifests/{}", tag(subject)), INDEX, MAX_BYTES).await?;
        if reply.status == 404 { Ok(None) } else { found(reply, || "the index of artifacts".into()).map(Some) }
    }

    async fn push_blob(&mut self, bytes: &[u8]) -> Result<(), InputsError> {
        let digest = Sha256::of(bytes);
        let there = self.path(&format!("blobs/sha256:{digest}"));
        if self.exchange.ask("HEAD", &there, &[], None, 0).await?.status == 200 {
            return Ok(());
        }
        let begun = self.exchange.ask("POST", &self.path("blobs/uploads/"), &[], Some(b""), MAX_BYTES).await?;
        let place = begun.header("location").map(str::to_owned);
        let refused = || ImageError::Refused { what: "a blob", status: begun.status, said: begun.said() };
        let place = place.filter(|_| begun.status == 202).ok_or_else(refused)?;
        let sign = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{sign}digest=sha256:{digest}");
        let headers = [("Content-Type", "application/octet-stream")];
        let reply = self.exchange.ask("PUT", &place, &headers, Some(bytes), MAX_BYTES).await?;
        Ok(created(&reply, "a blob")?)
    }

    async fn get(&mut self, rest: &str, accept: &str, most: u64) -> Result<Reply, InputsError> {
        Ok(self.exchange.ask("GET", &self.path(rest), &[("Accept", accept)], None, most).await?)
    }

    async fn put(&mut self, rest: &str, media_type: &str, body: &[u8]) -> Result<Reply, InputsError> {
        Ok(self.exchange.ask("PUT", &self.path(rest), &[("Content-Type", media_type)], Some(body), MAX_BYTES).await?)
    }
}

/// The tag that a subject's artifacts are under ("Referrers Tag Schema").
fn tag(subject: &Sha256) -> String {
    format!("sha256-{subject}")
}

fn found(reply: Reply, what: impl FnOnce() -> String) -> Result<Vec<u8>, InputsError> {
    match reply.status {
        200 => Ok(reply.body),
        status => Err(ImageError::NotFound { what: what(), status, said: reply.said() }.into()),
    }
}

fn created(reply: &Reply, what: &'static str) -> Result<(), ImageError> {
    match reply.status {
        201 => Ok(()),
        status => Err(ImageError::Refused { what, status, said: reply.said() }),
    }
}

fn checked(bytes: Vec<u8>, said: &Sha256) -> Result<Vec<u8>, ImageError> {
    let here = Sha256::of(&bytes);
    if here == *said { Ok(bytes) } else { Err(ImageError::Digest { said: *said, here }) }
}

/// Where a list goes on (RFC 8288).
fn following(link: &str) -> Option<&str> {
    let (target, parameters) = link.split_once('>')?;
    parameters.contains("rel=\"next\"").then(|| target.trim().trim_start_matches('<'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_where_it_says_so() {
        assert_eq!(following("</v2/a/referrers/x?n=1>; rel=\"next\""), Some("/v2/a/referrers/x?n=1"));
        assert_eq!(following("</v2/a>; rel=\"prev\""), None);
        assert_eq!(following("next"), None);
    }
}
