// SPDX-License-Identifier: Apache-2.0
//! Values that are lists of clauses ("OSGi Core", "Common Header Syntax"), of which the order decides nothing.

/// The headers whose clauses may come in any order: what a bundle gives and takes, by its package's name or in its
/// namespace, and what `bnd` notes of what it did. In others it decides (`Bundle-ClassPath`, `Require-Bundle`).
const HEADERS: [&str; 5] =
    ["export-package", "import-package", "private-package", "include-resource", "provide-capability"];

/// The value of this attribute with its clauses sorted by what each is of, and the parameters of each by their names; those
/// that are of the same stay in their order. `None`: it is no such list, or more than its order would be lost.
pub(super) fn sorted(attribute: &str, value: &[u8]) -> Option<Vec<u8>> {
    if !HEADERS.contains(&attribute.to_ascii_lowercase().as_str()) {
        return None;
    }
    let mut clauses = split(value, b',')?.into_iter().map(clause).collect::<Option<Vec<_>>>()?;
    clauses.sort_by_key(|(of, _)| *of);
    let clauses: Vec<Vec<u8>> = clauses.into_iter().map(|(_, clause)| clause).collect();
    Some(clauses.join(&b','))
}

/// What a clause is of, without the space around it, and the clause with its parameters sorted. `None`: one name could be
/// written in two ways, or one parameter comes twice.
fn clause(text: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let parts = split(text, b';')?;
    let (first, parameters) = parts.split_first()?;
    let of = first.trim_ascii();
    let mut named = parameters.iter().map(|part| Some((name(part)?, *part))).collect::<Option<Vec<_>>>()?;
    named.sort_unstable();
    let is_twice = named.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b));
    let parts: Vec<&[u8]> = std::iter::once(*first).chain(named.into_iter().map(|(_, part)| part)).collect();
    (!is_twice && is_plain(of)).then(|| (of, parts.join(&b';')))
}

/// The name of a parameter, and whether it is that of a directive (`:=`); `None`: it is none, but one more thing that the
/// clause is of.
fn name(parameter: &[u8]) -> Option<(&[u8], bool)> {
    let end = parameter.iter().position(|byte| *byte == b'=')?;
    let name = parameter.get(..end)?.trim_ascii();
    let directive = name.strip_suffix(b":");
    let name = directive.unwrap_or(name).trim_ascii();
    (!name.is_empty() && is_plain(name)).then_some((name, directive.is_some()))
}

/// Whether a name is written in the one way that there is: in no quotation marks, and with nothing that some take for space.
fn is_plain(name: &[u8]) -> bool {
    !name.iter().any(|byte| *byte == b'"' || byte.is_ascii_control())
}

/// The parts of a list, none of which is empty; what is in quotation marks is of one part.
fn split(text: &[u8], at: u8) -> Option<Vec<&[u8]>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts: Vec<&[u8]> = text
        .split(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                byte => return *byte == at && !is_quoted,
            }
            false
        })
        .collect();
    (!is_quoted && !parts.iter().any(|part| part.trim_ascii().is_empty())).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::sorted;

    fn of(value: &str) -> Option<String> {
        sorted("Export-Package", value.as_bytes()).map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn clauses_are_sorted_by_what_they_are_of() {
        assert_eq!(of("b,a").unwrap(), "a,b");
        assert_eq!(of("b;version=\"1,2\";uses:=\"x,y\",a").unwrap(), "a,b;uses:=\"x,y\";version=\"1,2\"");
        assert_eq!(of("b;x=\"\\\",a\",a").unwrap(), "a,b;x=\"\\\",a\"");
        // Two of one package stay in their order.
        assert_eq!(of("b;version=2,a,b;version=1").unwrap(), "a,b;version=2,b;version=1");
        for no in ["", "a,,b", "a,", "a;b;version=1", "a;version=1;version=2", "a;=1", "a,b;x=\"1", "a;;x=1"] {
            assert_eq!(of(no), None, "{no}");
        }
        // Space around a name is none of it.
        assert_eq!(of("b;x=1,a, b;x=2").unwrap(), "a,b;x=1, b;x=2");
        assert_eq!(of(" b;x=2,a,b;x=1").unwrap(), "a, b;x=2,b;x=1");
        assert_eq!(of("a;y=1; x := 2;x=3").unwrap(), "a;x=3; x := 2;y=1");
        for no in ["a;x=1; x =2", "a;x:=1;x :=2", "a;x:=1; x : =2", "\"b\",b", "a\u{1},a", "a; := 1", "a;\u{1}x=1;x=1"]
        {
            assert_eq!(of(no), None, "{no}");
        }
        for no in ["Bundle-ClassPath", "Require-Bundle", "DynamicImport-Package", "Class-Path", "X"] {
            assert_eq!(sorted(no, b"b,a"), None);
        }
    }
}
