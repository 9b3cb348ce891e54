// SPDX-License-Identifier: Apache-2.0
//! Extended attributes: in a node, and in a block of their own.

use super::super::volume::{Attribute, Fault, List, number, offset, part, spend, wrong};
use super::Ext4;

/// What an attribute's name begins with, by its number.
const PREFIXES: [&str; 9] = [
    "",
    "user.",
    "system.posix_acl_access",
    "system.posix_acl_default",
    "trusted.",
    "lustre.",
    "security.",
    "system.",
    "system.richacl",
];

/// The attribute with the rest of a small file's bytes.
pub(super) const DATA: &[u8] = b"system.data";

/// The first bytes of a list of attributes.
const MAGIC: u64 = 0xea02_0000;

impl Ext4<'_> {
    /// All attributes of a node.
    pub(super) fn attributes(&self, record: &[u8]) -> Result<Vec<Attribute>, Fault> {
        let mut all = List::new(&self.budget);
        if self.node_len > 128 {
            let start = 128 + offset(number(record, 128, 2)?);
            // Where it fills the node there is no place for any.
            if number(record, start, 4).is_ok_and(|magic| magic == MAGIC) {
                let list = record.get(start + 4..).unwrap_or_default();
                entries(list, list, &mut all)?;
            }
        }
        let block = number(record, 104, 4)? | number(record, 118, 2)? << 32;
        if block != 0 {
            spend(&self.budget, self.block)?;
            let block = self.block(block)?;
            if number(&block, 0, 4)? != MAGIC {
                return wrong("a block of attributes is none");
            }
            entries(block.get(32..).unwrap_or_default(), &block, &mut all)?;
        }
        Ok(all.into_all())
    }
}

/// The attributes of one list, whose values are counted from the start of `values` on.
fn entries(mut list: &[u8], values: &[u8], all: &mut List<'_>) -> Result<(), Fault> {
    // Values may lie on each other: what they take together is bounded by what they are in.
    let mut room = values.len();
    while number(list, 0, 4).is_ok_and(|first| first != 0) {
        let (name_len, prefix) = (offset(number(list, 0, 1)?), offset(number(list, 1, 1)?));
        let (at, inode, len) = (offset(number(list, 2, 2)?), number(list, 4, 4)?, offset(number(list, 8, 4)?));
        if inode != 0 {
            return wrong("an attribute's value is in a file of its own");
        }
        let Some(prefix) = PREFIXES.get(prefix) else {
            return wrong("the name of an attribute begins with nothing known");
        };
        room = room.checked_sub(len).map_or_else(|| wrong("values of attributes lie on each other"), Ok)?;
        let name = [prefix.as_bytes(), part(list, 16, name_len)?].concat();
        all.push((name, part(values, at, len)?.to_vec()))?;
        list = list.get((16 + name_len).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}
