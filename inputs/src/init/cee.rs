// SPDX-License-Identifier: Apache-2.0
//! C and C++: Meson, CMake, Autotools and plain make.

use std::collections::BTreeSet;

use reprove_model::TreePath;

use super::Top;
use super::kinds::{self, Outputs, Plan};

/// What compiles C, and C++ where the text speaks of that.
fn compilers(has_cxx: bool) -> Vec<&'static str> {
    if has_cxx { vec!["g++"] } else { vec!["gcc", "libc6-dev"] }
}

pub(super) fn meson(top: &Top) -> Plan {
    let arguments = call(top.text("meson.build"), "project");
    let name = arguments.first().cloned();
    let has_cxx = arguments.iter().any(|argument| argument == "cpp");
    Plan {
        name,
        packages: [compilers(has_cxx), vec!["meson", "ninja-build", "pkg-config"]].concat(),
        steps: vec![
            "meson setup built --buildtype=release --prefix=/usr --wrap-mode=nodownload".into(),
            "meson compile -C built".into(),
            "DESTDIR=\"$PWD/out\" meson install -C built".into(),
        ],
        ..Plan::default()
    }
}

pub(super) fn cmake(top: &Top) -> Plan {
    let arguments = call(top.text("CMakeLists.txt"), "project");
    let languages = arguments.iter().skip(1).map(String::as_str).collect::<Vec<_>>();
    // Without any, CMake wants both.
    let has_cxx = languages.contains(&"CXX") || !languages.contains(&"C");
    let version = languages.iter().skip_while(|word| **word != "VERSION").nth(1).map(|word| (*word).to_owned());
    Plan {
        name: arguments.first().cloned(),
        version,
        packages: [compilers(has_cxx), vec!["cmake", "make"]].concat(),
        steps: vec![
            "cmake -S . -B built -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr".into(),
            "cmake --build built --parallel".into(),
            "DESTDIR=\"$PWD/out\" cmake --install built".into(),
        ],
        ..Plan::default()
    }
}

pub(super) fn autotools(top: &Top) -> Plan {
    let text = top.text("configure.ac");
    let arguments = call(text, "AC_INIT");
    let mut packages = compilers(text.contains("AC_PROG_CXX"));
    packages.push("make");
    let mut steps = Vec::new();
    if !top.has("configure") {
        packages.extend(["autoconf", "automake"]);
        if text.contains("LT_INIT") || text.contains("AC_PROG_LIBTOOL") {
            packages.push("libtool");
        }
        steps.push("autoreconf --install".to_owned());
    }
    // Autoconf compiles with -g, and debugging information has the directory that it was compiled in.
    let configure =
        "flags=\"-g -O2 -ffile-prefix-map=$PWD=.\"; ./configure --prefix=/usr CFLAGS=\"$flags\" CXXFLAGS=\"$flags\"";
    steps.extend([configure, "make", "make install DESTDIR=\"$PWD/out\""].map(str::to_owned));
    Plan { name: arguments.first().cloned(), version: arguments.get(1).cloned(), packages, steps, ..Plan::default() }
}

pub(super) fn make(top: &Top) -> Plan {
    let text = kinds::make(top).map_or("", |name| top.text(&name));
    let has_cxx = ["$(CXX)", "${CXX}", "g++", ".cpp", ".cc"].iter().any(|word| text.contains(word));
    let mut plan = Plan { packages: [compilers(has_cxx), vec!["make"]].concat(), ..Plan::default() };
    if rules(text).any(|(target, _)| target == "install") {
        plan.steps = ["make", "make install DESTDIR=\"$PWD/out\" PREFIX=/usr prefix=/usr"].map(str::to_owned).into();
        return plan;
    }
    plan.steps = vec!["make".into()];
    let made = made(text);
    if made.is_empty() {
        plan.notes.push("what `make` makes could not be told: name it in `outputs.paths`, in place of `out`".into());
    }
    plan.outputs = Outputs::Paths(if made.is_empty() { vec!["out".into()] } else { made });
    plan
}

/// The rules of a makefile that are written out: targets, and what each depends on.
fn rules(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_plain = |target: &str| !target.is_empty() && !target.contains(['$', '%', '=', '#', '\t']);
    text.lines()
        .filter(|line| !line.starts_with(['\t', '#', '.']))
        .filter_map(|line| line.split_once(':'))
        .filter(|(_, rest)| !rest.starts_with(['=', ':']))
        .map(|(targets, rest)| (targets.trim(), rest.split('#').next().unwrap_or_default().trim()))
        .filter(move |(targets, _)| is_plain(targets))
}

/// What the first rule makes: its target; or, where that is `all`, what this depends on.
fn made(text: &str) -> Vec<String> {
    let Some((target, needs)) = rules(text).next() else { return Vec::new() };
    let words = if matches!(target, "all" | "default" | "build") { needs } else { target };
    let is_file = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "._+-/".contains(c));
    let words: Vec<&str> = words.split_whitespace().collect();
    if !words.iter().all(|word| is_file(word) && !word.starts_with('.') && word.parse::<TreePath>().is_ok()) {
        return Vec::new();
    }
    let words: BTreeSet<&str> = words.into_iter().collect();
    words.into_iter().map(str::to_owned).collect()
}

/// The words of the first call of `name(…)`, without quotes and brackets; none where there is no such.
fn call(text: &str, name: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let starts = code.match_indices(name).map(|(at, _)| at + name.len());
    let inside = starts.filter_map(|at| code.get(at..)?.trim_start().strip_prefix('(')?.split_once(')')).next();
    let words = inside.map_or("", |(inside, _)| inside).split(|c: char| c.is_whitespace() || c == ',');
    words.map(|word| word.trim_matches(['\'', '"', '[', ']']).to_owned()).filter(|word| !word.is_empty()).collect()
}
