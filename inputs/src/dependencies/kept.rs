// SPDX-License-Identifier: Apache-2.0
//! Packages that were fetched once, in the store's folder `dependencies`: for each checksum, a file that says which of the store's
//! files has it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reprove_model::{Content, Digest, DigestSet, Input, InputName, Sha256};
use reprove_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Checksum, Wanted};
use crate::InputsError;
use crate::workplace::Fetched;

/// What has a checksum.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    digest: DigestSet,
    size: u64,
}

const FOLDER: &str = "dependencies";
/// The most bytes of one of its files.
const MAX_FILE: u64 = 1024;
/// The most bytes of one that says what was chosen.
const MAX_CHOICE: u64 = 64 << 10;

/// Which files are taken of what a lock file leaves a choice of.
pub(super) type Choice = Vec<(InputName, Sha256)>;

/// The inputs of what is there, and what is not.
pub(super) fn find(store: &Store, wanted: Vec<Wanted>) -> Result<(Vec<Input>, Vec<Wanted>), InputsError> {
    let (mut inputs, mut missing) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match read(store, &wanted) {
            Some(Kept { digest, size }) => match store.verify_blob(&digest.blake3) {
                Ok(()) => inputs.push(wanted.input(Content::File { digest, size })),
                Err(StoreError::Missing(_)) => missing.push(wanted),
                Err(error) => return Err(error.into()),
            },
            None => missing.push(wanted),
        }
    }
    Ok((inputs, missing))
}

/// Says which file of the store has a checksum.
pub(super) fn note(store: &Store, wanted: &Wanted, file: &Fetched) -> Result<(), InputsError> {
    write(store, &place(store, wanted), &Kept { digest: file.digest, size: file.size })
}

/// What was chosen for `key`; what can't be read is chosen again.
pub(super) fn choice(store: &Store, key: &Digest) -> Option<Choice> {
    read_file(&place_of_choice(store, key), MAX_CHOICE)
}

/// Says what is chosen for `key`.
pub(super) fn note_choice(store: &Store, key: &Digest, choice: &Choice) -> Result<(), InputsError> {
    write(store, &place_of_choice(store, key), choice)
}

fn write(store: &Store, path: &Path, what: &impl Serialize) -> Result<(), InputsError> {
    let fail = |source: io::Error| InputsError::Io { path: path.to_owned(), source };
    let json = serde_json::to_vec(what).map_err(|e| fail(e.into()))?;
    fs::create_dir_all(store.root().join(FOLDER)).map_err(fail)?;
    let temporary = store.temp_file()?;
    fs::write(temporary.path(), json).map_err(fail)?;
    temporary.persist(path).map(drop).map_err(|e| fail(e.error))
}

/// What can't be read is fetched again.
fn read(store: &Store, wanted: &Wanted) -> Option<Kept> {
    read_file(&place(store, wanted), MAX_FILE)
}

fn read_file<T: DeserializeOwned>(path: &Path, most: u64) -> Option<T> {
    let fits = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() <= most);
    if fits { serde_json::from_slice(&fs::read(path).ok()?).ok() } else { None }
}

fn place_of_choice(store: &Store, key: &Digest) -> PathBuf {
    store.root().join(FOLDER).join(format!("chosen-{key}.json"))
}

fn place(store: &Store, wanted: &Wanted) -> PathBuf {
    let name = match wanted.checksum {
        Checksum::Sha256(digest) => format!("sha256-{digest}.json"),
        Checksum::Sha512(bytes) => format!("sha512-{}.json", hex(&bytes)),
    };
    store.root().join(FOLDER).join(name)
}

/// As pairs of small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A text takes whatever is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_is_found_by_its_checksum_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let wanted = Wanted {
            name: "a".into(),
            version: "1.0.0".into(),
            file_name: "a-1.0.0.crate".parse().unwrap(),
            purl: "pkg:cargo/a@1.0.0".parse().unwrap(),
            checksum: Checksum::Sha256(Sha256::of(b"a")),
        };
        let find = || find(&store, vec![wanted.clone()]).unwrap();
        assert_eq!(find(), (vec![], vec![wanted.clone()]));
        let path = dir.path().join("a");
        fs::write(&path, "a").unwrap();
        let file = Fetched::check(wanted.file_name.clone(), &path, None).unwrap();
        note(&store, &wanted, &file).unwrap();
        assert_eq!(find(), (vec![], vec![wanted.clone()]));
        file.keep(&store).unwrap();
        let (inputs, missing) = find();
        assert_eq!((inputs[0].content.digest(), missing.len()), (&DigestSet::of(b"a"), 0));
        for text in ["{", "{}", &" ".repeat(1025)] {
            fs::write(place(&store, &wanted), text).unwrap();
            assert_eq!(find().1.len(), 1, "{text}");
        }
    }

    #[test]
    fn the_bound_on_a_choice_holds_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let key = Digest::of(b"");
        assert_eq!(choice(&store, &key), None);
        let one = vec![("a.whl".parse().unwrap(), Sha256::of(b"a"))];
        note_choice(&store, &key, &one).unwrap();
        let text = fs::read_to_string(place_of_choice(&store, &key)).unwrap();
        let of_size = |size: u64| {
            let more = " ".repeat(usize::try_from(size).unwrap() - text.len());
            fs::write(place_of_choice(&store, &key), text.clone() + &more).unwrap();
            choice(&store, &key)
        };
        assert_eq!((of_size(MAX_CHOICE), of_size(MAX_CHOICE + 1)), (Some(one), None));
    }
}
