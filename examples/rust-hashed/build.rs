// SPDX-License-Identifier: Apache-2.0
// Writes a table for the program.
use std::collections::HashMap as Map;
use std::{env, fs, path::Path};

fn main() {
    let names = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let table: Map<&str, usize> = names.into_iter().zip(1..).collect();
    let rows: String = table.iter().map(|(name, number)| format!("({name:?}, {number}),")).collect();
    let text = format!("const TABLE: &[(&str, usize)] = &[{rows}];");
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("table.rs"), text).unwrap();
}
