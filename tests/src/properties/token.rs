// SPDX-License-Identifier: Apache-2.0
//! URIs of keys on tokens.

use reprove_token::{KeyUri, MAX_URI};

use super::assert_plain;

/// A URI is taken as it is written, says where things are by absolute paths alone, and has no PIN in it; an error repeats
/// nothing that could be one.
pub(super) fn key_uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<KeyUri>() {
        Ok(uri) => {
            assert!(text.len() <= MAX_URI && text.is_ascii());
            assert_plain(text);
            assert_eq!(uri.to_string(), text);
            assert!(!text.split(['?', '&']).skip(1).any(|attribute| attribute.starts_with("pin-value")));
            for path in [uri.module_path(), uri.pin_source()].into_iter().flatten() {
                assert!(path.is_absolute() && !path.to_str().unwrap().contains('\0'), "{path:?}");
            }
        }
        Err(error) => {
            let said = format!("{error} {error:?}");
            let pin = text.split_once("pin-value=").map_or("", |(_, after)| after);
            let pin = pin.split(['&', ';', '=', '%']).next().unwrap_or_default();
            // Where it is long enough to be told from all else, and nowhere else in the text.
            let is_told = pin.len() > 20 && text.matches(pin).count() == 1;
            assert!(!is_told || !said.contains(pin), "{said}");
        }
    }
}
