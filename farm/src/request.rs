// SPDX-License-Identifier: Apache-2.0
//! What is asked for.

use std::collections::BTreeSet;

use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{Digest, DigestSet, Environment, EpochRule, Limits, PackageUrl, Recipe, Source};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{Distinct, Priority, Requires};

/// What is to be rebuilt, and by how many rebuilders that are independent of each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// What is to be done.
    pub work: Work,
    /// By how many rebuilders.
    #[schema(minimum = 1, maximum = 16)]
    #[serde(default = "one")]
    pub rebuilders: u8,
    /// In what two of them have to differ.
    #[serde(default = "Distinct::usual")]
    #[schema(value_type = Vec<Distinct>)]
    pub distinct: BTreeSet<Distinct>,
    /// What each of them has to be.
    #[serde(default)]
    pub requires: Requires,
    /// What it goes before. It is no part of what is asked for: the same with another priority is the same.
    #[serde(default)]
    pub priority: Priority,
}

fn one() -> u8 {
    1
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// To rebuild what a registry has published, from its source, and to compare the two.
    Package {
        /// Which package.
        #[schema(value_type = String, example = "pkg:pypi/idna@3.20", pattern = "^pkg:[a-z][a-z0-9.+-]*/.+@.+$", max_length = 1024)]
        purl: PackageUrl,
    },
    /// To build a project twice, under other conditions each time, and to compare the two.
    Project {
        /// What to build: its source is the directory `.`.
        #[schema(value_type = Object)]
        recipe: Box<Recipe>,
        /// The BLAKE3 digest of the tree of its source, which has to be here: it is sent before.
        #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
        source: Digest,
    },
}

impl Work {
    /// What it is counted among: a type of packages, or `project`.
    #[must_use]
    pub fn ecosystem(&self) -> &str {
        match self {
            Self::Package { purl } => purl.kind(),
            Self::Project { .. } => Self::PROJECT,
        }
    }

    /// What projects are counted among.
    pub const PROJECT: &str = "project";

    /// What is built, without its version.
    #[must_use]
    pub fn package(&self) -> String {
        match self {
            Self::Package { purl } => match purl.namespace() {
                Some(namespace) => format!("{namespace}/{}", purl.name()),
                None => purl.name().to_owned(),
            },
            Self::Project { recipe, .. } => recipe.package.name.clone(),
        }
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Package { purl } => purl.version(),
            Self::Project { recipe, .. } => recipe.package.version.as_deref(),
        }
    }

    /// Of the source that has to be here before.
    #[must_use]
    pub fn source(&self) -> Option<&Digest> {
        match self {
            Self::Package { .. } => None,
            Self::Project { source, .. } => Some(source),
        }
    }

    /// Whether workers can do it, as far as that can be seen.
    fn check(&self) -> Result<(), RequestError> {
        match self {
            Self::Package { purl } => {
                if !Request::KINDS.contains(&purl.kind()) {
                    return Err(RequestError::Kind(purl.kind().to_owned()));
                }
                if purl.version().is_none() {
                    return Err(RequestError::NoVersion(purl.to_string()));
                }
                Ok(())
            }
            Self::Project { recipe, .. } => check_recipe(recipe),
        }
    }
}

/// A recipe comes from anybody: it names nothing on the worker's machine, and no place that the worker would ask for it.
fn check_recipe(recipe: &Recipe) -> Result<(), RequestError> {
    recipe.check().map_err(|error| RequestError::Recipe(error.to_string()))?;
    let wrong = |text: &str| Err(RequestError::Recipe(text.to_owned()));
    if recipe.source != Source::Directory(".".to_owned()) {
        return wrong("`source.directory` must be \".\", which is what was sent");
    }
    // What it is locked to would be looked for among what was sent as well.
    if recipe.environment != Environment::HostUsr {
        return wrong("`environment` must be \"host-usr\": a farm takes no images, packages or store's paths");
    }
    if recipe.build.source_date_epoch == EpochRule::Search {
        return wrong(
            "`build.source-date-epoch` is searched for where something was published, which a project is not",
        );
    }
    let Limits { seconds, memory_mib, disk_mib, .. } = recipe.limits;
    let most = Request::MOST;
    for (field, number, most, unit) in [
        ("seconds", seconds, most.seconds, "seconds"),
        ("memory-mib", memory_mib, most.memory_mib, "MiB"),
        ("disk-mib", disk_mib, most.disk_mib, "MiB"),
    ] {
        if number > most {
            return Err(RequestError::Recipe(format!("`limits.{field}` must be at most {most} {unit} in a farm")));
        }
    }
    let length = canonical::to_vec(recipe).map_err(|error| RequestError::Recipe(error.to_string()))?.len();
    if length > Request::MAX_RECIPE {
        let text = format!("it has {length} bytes as canonical JSON; the most is {}", Request::MAX_RECIPE);
        return Err(RequestError::Recipe(text));
    }
    Ok(())
}

impl Request {
    /// The most rebuilders that can be asked for.
    pub const MAX_REBUILDERS: u8 = 16;
    /// The types of packages that workers can rebuild.
    pub const KINDS: [&str; 4] = ["cargo", "deb", "npm", "pypi"];
    /// The longest package URL, in bytes.
    pub const MAX_PURL: usize = 1024;
    /// The longest recipe of a project, as canonical JSON, in bytes.
    pub const MAX_RECIPE: usize = 64 << 10;
    /// The most that a project's build may use; what is not time, memory or disk is bounded by recipes themselves.
    pub const MOST: Limits =
        Limits { seconds: 6 * 3600, memory_mib: 64 << 10, disk_mib: 256 << 10, processes: 4 << 20, log_mib: 1024 };

    /// To rebuild a package once, as usual.
    #[must_use]
    pub fn of(purl: PackageUrl) -> Self {
        Self {
            work: Work::Package { purl },
            rebuilders: 1,
            distinct: Distinct::usual(),
            requires: Requires::default(),
            priority: Priority::default(),
        }
    }

    /// Looks whether it can be asked for.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn check(&self) -> Result<(), RequestError> {
        if !(1..=Self::MAX_REBUILDERS).contains(&self.rebuilders) {
            return Err(RequestError::Rebuilders(self.rebuilders));
        }
        let length = self.subject().len();
        if length > Self::MAX_PURL {
            return Err(RequestError::TooLong(length));
        }
        self.work.check()?;
        let is_settled = self.requires.isolation.is_some();
        for (distinct, of) in [(Distinct::Isolation, "isolations"), (Distinct::Vendor, "vendors")] {
            if is_settled && self.rebuilders > 1 && self.distinct.contains(&distinct) {
                return Err(RequestError::Impossible(of));
            }
        }
        if self.distinct.contains(&Distinct::Vendor) && self.rebuilders > 2 {
            return Err(RequestError::Vendors(self.rebuilders));
        }
        Ok(())
    }

    /// What it is about, in one line.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.work {
            Work::Package { purl } => purl.to_string(),
            Work::Project { recipe, .. } => match &recipe.package.version {
                Some(version) => format!("project {}@{version}", recipe.package.name),
                None => format!("project {}", recipe.package.name),
            },
        }
    }

    /// Of its canonical JSON: what reports name it by.
    ///
    /// # Errors
    /// None, of a request that was checked.
    pub fn digest(&self) -> Result<DigestSet, CanonicalError> {
        Ok(DigestSet::of(&canonical::to_vec(self)?))
    }

    /// What is the same for two requests that ask for the same.
    ///
    /// # Errors
    /// As [`Request::digest`].
    pub fn key(&self) -> Result<Digest, CanonicalError> {
        Ok(Self { priority: Priority::default(), ..self.clone() }.digest()?.blake3)
    }
}

/// Why something can't be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// None, or too many.
    #[error("{0} rebuilders can't be asked for: from 1 to {max}", max = Request::MAX_REBUILDERS)]
    Rebuilders(u8),
    /// Longer than [`Request::MAX_PURL`].
    #[error("the package URL has {0} bytes; the most is {max}", max = Request::MAX_PURL)]
    TooLong(usize),
    /// A package of a type that nobody rebuilds.
    #[error("{0:?} packages can't be rebuilt: there are {kinds}", kinds = Request::KINDS.join(", "))]
    Kind(String),
    /// A recipe that nobody may build for others.
    #[error("the project can't be built in a farm: {0}")]
    Recipe(String),
    /// A package without a version.
    #[error("{0} names no version: add one, as in pkg:pypi/idna@3.20")]
    NoVersion(String),
    /// All in one isolation, and each in another.
    #[error("rebuilders in one isolation can't be of different {0}")]
    Impossible(&'static str),
    /// More than there are vendors.
    #[error("{0} rebuilders of different vendors can't be asked for: there are two, AMD and Intel")]
    Vendors(u8),
}

#[cfg(test)]
mod tests {
    use reprove_model::Isolation;

    use super::*;

    fn request() -> Request {
        Request::of("pkg:pypi/idna@3.20".parse().unwrap())
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let short = r#"{"work":{"kind":"package","purl":"pkg:pypi/idna@3.20"}}"#;
        assert_eq!(serde_json::from_str::<Request>(short).unwrap(), request());
        let unknown = r#"{"work":{"kind":"package","purl":"pkg:pypi/idna@3.20"},"rebuilder":2}"#;
        assert!(serde_json::from_str::<Request>(unknown).is_err());
    }

    #[test]
    fn the_same_is_the_same_whatever_it_goes_before() {
        let urgent = Request { priority: Priority::High, ..request() };
        assert_eq!(urgent.key().unwrap(), request().key().unwrap());
        assert_ne!(urgent.digest().unwrap(), request().digest().unwrap());
        assert_ne!(Request { rebuilders: 2, ..request() }.key().unwrap(), request().key().unwrap());
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        let of = |rebuilders| Request { rebuilders, ..request() }.check();
        assert_eq!(of(0), Err(RequestError::Rebuilders(0)));
        assert_eq!((of(1), of(16)), (Ok(()), Ok(())));
        assert_eq!(of(17), Err(RequestError::Rebuilders(17)));

        let named = |length: usize| {
            let purl = format!("pkg:pypi/{}@1", "a".repeat(length - "pkg:pypi/@1".len()));
            Request::of(purl.parse().unwrap()).check()
        };
        assert_eq!(named(Request::MAX_PURL), Ok(()));
        assert_eq!(named(Request::MAX_PURL + 1), Err(RequestError::TooLong(Request::MAX_PURL + 1)));
        let other = Request::of("pkg:generic/a@1".parse().unwrap());
        assert_eq!(other.check(), Err(RequestError::Kind("generic".into())));
        let nameless = Request::of("pkg:pypi/idna".parse().unwrap());
        assert_eq!(nameless.check(), Err(RequestError::NoVersion("pkg:pypi/idna".into())));
    }

    #[test]
    fn a_project_names_nothing_on_a_worker_s_machine_and_no_more_than_a_farm_gives() {
        let of = |text: &str| {
            let text = format!(
                "package = {{ name = \"hello\", version = \"1\" }}\nbuild = {{ steps = [\"make\"] }}\noutputs = {{ paths = [\"out\"] }}\n{text}"
            );
            let recipe = Box::new(Recipe::from_toml(&text).unwrap());
            let work = Work::Project { recipe, source: Digest::of(b"tree") };
            let request = Request { work, ..request() };
            (request.subject(), request.check())
        };
        let plain = "source = { directory = \".\" }\n";
        assert_eq!(of(plain), ("project hello@1".to_owned(), Ok(())));
        for (seconds, memory, disk, fits) in [
            (21600, 65536, 262_144, true),
            (21601, 65536, 262_144, false),
            (21600, 65537, 262_144, false),
            (21600, 65536, 262_145, false),
        ] {
            let limits = format!("limits = {{ seconds = {seconds}, memory-mib = {memory}, disk-mib = {disk} }}");
            assert_eq!(of(&format!("{plain}{limits}")).1.is_ok(), fits, "{limits}");
        }
        for wrong in [
            "source = { directory = \"src\" }",
            "source = { directory = \".\" }\nenvironment = { debian = \"bookworm\", packages = [\"make\"] }",
            "source = { directory = \".\" }\nenvironment = { image = \"oci:/etc:latest\" }",
        ] {
            assert!(matches!(of(wrong).1, Err(RequestError::Recipe(_))), "{wrong}");
        }
    }

    #[test]
    fn what_nobody_could_do_is_refused() {
        let vendors = |rebuilders| Request { rebuilders, distinct: [Distinct::Vendor].into(), ..request() };
        assert_eq!((vendors(2).check(), vendors(3).check()), (Ok(()), Err(RequestError::Vendors(3))));
        let settled = Requires { isolation: Some(Isolation::Vm), ..Requires::default() };
        for (distinct, of) in [(Distinct::Vendor, "vendors"), (Distinct::Isolation, "isolations")] {
            let asked = |rebuilders| Request {
                rebuilders,
                distinct: [distinct].into(),
                requires: settled.clone(),
                ..request()
            };
            assert_eq!((asked(1).check(), asked(2).check()), (Ok(()), Err(RequestError::Impossible(of))));
        }
    }
}
