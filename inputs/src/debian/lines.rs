// SPDX-License-Identifier: Apache-2.0
//! What apt prints of the packages that it would fetch.

use reprove_model::{Digest, InputName, LockedPackage, PackageLock, Sha256};

/// A package that an archive offers, by its signed index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    /// Of the `.deb`, in bytes.
    pub(super) size: u64,
    pub(super) sha256: Sha256,
}

/// Reads what `apt-get --print-uris install` prints: a line for each file, `'URI' NAME SIZE SHA256:DIGEST`, where NAME is
/// `PACKAGE_VERSION_ARCHITECTURE.deb` with a colon as `%3a`. Gives what is wrong where that is not so, or nothing is there.
pub(crate) fn offered(text: &str) -> Result<Vec<Offered>, String> {
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('\'')).collect();
    if lines.is_empty() || lines.len() > PackageLock::MAX_PACKAGES {
        return Err(format!("it names {} packages; there are to be 1 to {}", lines.len(), PackageLock::MAX_PACKAGES));
    }
    let shown = |line: &str| {
        line.rsplit('\'').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect::<String>()
    };
    lines
        .into_iter()
        .map(|line| one(line).ok_or_else(|| format!("a line is of another form:{}", shown(line))))
        .collect()
}

fn one(line: &str) -> Option<Offered> {
    let (_, rest) = line.strip_prefix('\'')?.split_once('\'')?;
    let mut words = rest.split_ascii_whitespace();
    let (file, size, digest) = (words.next()?, words.next()?, words.next()?);
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
    let offered = Offered {
        name: name.into(),
        version: version.replace("%3a", ":"),
        architecture: architecture.into(),
        size: size.parse().ok()?,
        sha256: digest.strip_prefix("SHA256:")?.parse().ok()?,
    };
    let is_possible = offered.clone().locked(Digest::of(b""), offered.size).is_possible();
    (words.next().is_none() && parts.next().is_none() && is_possible).then_some(offered)
}

impl Offered {
    /// One that was locked before.
    pub(super) fn of(locked: LockedPackage) -> Self {
        let LockedPackage { name, version, architecture, size, sha256, .. } = locked;
        Self { name, version, architecture, size, sha256 }
    }

    /// How apt is asked for it, and for no other.
    pub(super) fn spec(&self) -> String {
        match self.architecture.as_str() {
            "all" => format!("{}={}", self.name, self.version),
            architecture => format!("{}:{architecture}={}", self.name, self.version),
        }
    }

    /// What apt calls the file.
    pub(super) fn downloaded_as(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }

    /// It as it is locked, with the digest and the size of what came.
    pub(super) fn locked(self, blake3: Digest, size: u64) -> LockedPackage {
        let Self { name, version, architecture, sha256, .. } = self;
        LockedPackage { name, version, architecture, size, blake3, sha256 }
    }

    /// What it is called among the inputs.
    pub(super) fn file_name(&self) -> Option<InputName> {
        self.clone().locked(Digest::of(b""), self.size).file_name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &str) -> String {
        format!("'http://mirror.example/debian/pool/main/g/gcc/x.deb' {file} 5144 SHA256:{}", "a1".repeat(32))
    }

    #[test]
    fn each_line_is_a_package() {
        let text = format!("Reading…\n{}\n{}\n", line("gcc_4%3a12.2.0-3_amd64.deb"), line("ucf_3.0043+nmu1_all.deb"));
        let [gcc, ucf] = offered(&text).unwrap().try_into().unwrap();
        assert_eq!((gcc.name.as_str(), gcc.version.as_str(), gcc.size), ("gcc", "4:12.2.0-3", 5144));
        assert_eq!((gcc.spec().as_str(), ucf.spec().as_str()), ("gcc:amd64=4:12.2.0-3", "ucf=3.0043+nmu1"));
        assert_eq!(gcc.downloaded_as(), "gcc_4%3a12.2.0-3_amd64.deb");
        assert_eq!(gcc.file_name().unwrap().as_str(), "gcc_12.2.0-3_amd64.deb");
    }

    #[test]
    fn lines_of_another_form_are_no_packages() {
        for file in [
            "gcc_1_amd64",
            "gcc_amd64.deb",
            "gcc_1_amd64_x.deb",
            "../gcc_1_amd64.deb",
            "gcc_v1_amd64.deb",
            "G_1_all.deb",
        ] {
            let said = offered(&line(file)).unwrap_err();
            assert!(said.contains("another form") && !said.contains("mirror"), "{said}");
        }
        for wrong in [
            line("gcc_1_all.deb") + " more",
            line("gcc_1_all.deb").replace("SHA256", "MD5Sum"),
            line("gcc_1_all.deb").replace("5144", "-1"),
        ] {
            assert!(offered(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let many = |n: usize| offered(&(0..n).map(|i| line(&format!("p{i}_1_all.deb")) + "\n").collect::<String>());
        assert!(many(0).is_err());
        assert!(many(1).is_ok());
        assert!(many(PackageLock::MAX_PACKAGES).is_ok());
        assert!(many(PackageLock::MAX_PACKAGES + 1).is_err());
    }
}
