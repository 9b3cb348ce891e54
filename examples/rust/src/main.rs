// SPDX-License-Identifier: Apache-2.0
include!(concat!(env!("OUT_DIR"), "/table.rs"));

fn main() {
    for (name, number) in TABLE {
        println!("{name} {number}");
    }
}
