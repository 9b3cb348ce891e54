// SPDX-License-Identifier: Apache-2.0
//! How much memory the names of one file's parts, fields and symbols may take, however small the file is.

/// How many bytes all names of parts and fields have together, and all names of symbols.
pub(super) const MAX_NAMES: usize = 16 << 20;

/// What is left of it.
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_NAMES)
    }
}

impl Room {
    /// Takes what a name of `len` bytes needs.
    ///
    /// # Errors
    /// Where there is not so much left.
    pub(super) fn take(&mut self, len: usize) -> Result<(), String> {
        self.0 = self.0.checked_sub(len).ok_or_else(|| format!("names have more than {MAX_NAMES} bytes"))?;
        Ok(())
    }
}
