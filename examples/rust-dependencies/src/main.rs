// SPDX-License-Identifier: Apache-2.0
//! Says how many values of each kind the JSON document on standard input has.

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let document: Value = serde_json::from_reader(std::io::stdin())?;
    let mut counts = BTreeMap::new();
    count(&document, &mut counts);
    let mut digits = itoa::Buffer::new();
    for (kind, number) in counts {
        println!("{kind}: {}", digits.format(number));
    }
    Ok(())
}

fn count(value: &Value, counts: &mut BTreeMap<&str, u64>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(values) => {
            values.iter().for_each(|value| count(value, counts));
            "array"
        }
        Value::Object(values) => {
            values.values().for_each(|value| count(value, counts));
            "object"
        }
    };
    *counts.entry(kind).or_default() += 1;
}
