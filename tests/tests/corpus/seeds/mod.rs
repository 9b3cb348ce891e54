// SPDX-License-Identifier: Apache-2.0
//! What the corpora are made of: for each parser something valid of every kind, and something for each of its refusals.

mod archives;
mod containers;
mod debian;
mod dependencies;
mod documents;
mod evidence;
mod farm;
mod images;
mod layers;
mod machines;
mod observed;
mod packages;
mod proofs;
mod texts;

/// A corpus: its target's name, and its files by name.
pub(crate) type Corpus = (&'static str, Vec<File>);
/// A file's name and its bytes.
pub(crate) type File = (&'static str, Vec<u8>);

/// All of them.
pub(crate) fn all() -> Vec<Corpus> {
    [
        texts::all(),
        debian::all(),
        documents::all(),
        dependencies::all(),
        evidence::all(),
        farm::all(),
        layers::all(),
        machines::all(),
        observed::all(),
        packages::all(),
        proofs::all(),
        archives::all(),
        containers::all(),
    ]
    .concat()
}

fn text(name: &'static str, text: impl Into<String>) -> File {
    (name, text.into().into_bytes())
}
