// SPDX-License-Identifier: Apache-2.0
//! The header of an attack: what it tries, what should stop it, and how it should end.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use reprove_tests::workspace;

/// Where an attack is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In reprove's sandbox, by root.
    Root,
    /// In reprove's sandbox, by an ordinary user.
    Ordinary,
    /// In plain bubblewrap, by root.
    Bubblewrap,
    /// In plain bubblewrap, by an ordinary user.
    OrdinaryBubblewrap,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Root, Self::Ordinary, Self::Bubblewrap, Self::OrdinaryBubblewrap];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ordinary => "ordinary",
            Self::Bubblewrap => "bubblewrap",
            Self::OrdinaryBubblewrap => "bubblewrap-ordinary",
        }
    }

    /// Whether root does it.
    pub(crate) fn is_by_root(self) -> bool {
        matches!(self, Self::Root | Self::Bubblewrap)
    }

    /// Whether it is bubblewrap, and not reprove.
    pub(crate) fn is_bubblewrap(self) -> bool {
        matches!(self, Self::Bubblewrap | Self::OrdinaryBubblewrap)
    }

    /// The field of a header that has its result, and the one that has it where that one is not there.
    fn fields(self) -> (&'static str, &'static str) {
        match self {
            Self::Root => ("reprove", "reprove"),
            Self::Ordinary => ("ordinary", "reprove"),
            Self::Bubblewrap => ("bwrap", "bwrap"),
            Self::OrdinaryBubblewrap => ("bwrap-ordinary", "bwrap"),
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|way| way.name() == name).unwrap()
    }
}

/// What came of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing outside was reached.
    Held,
    /// Something was.
    Escaped,
    /// There is nothing to attack.
    NotApplicable,
}

impl Outcome {
    fn parse(text: &str) -> Option<Self> {
        [Self::Held, Self::Escaped, Self::NotApplicable].into_iter().find(|outcome| outcome.to_string() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Escaped => "escaped",
            Self::NotApplicable => "n/a",
        })
    }
}

/// How many builds an attack takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builds {
    /// It is alone.
    One,
    /// The second, with the argument `receive`, starts after the first, with the argument `send`, has ended.
    After,
    /// The second starts once the first has printed `ready`, and the first is ended after it.
    AtOnce,
}

/// An attack.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    /// The name of its file, without the ending.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it tries.
    pub(crate) tries: String,
    /// What it is about.
    pub(crate) topic: String,
    /// How its last build ends, in the words of [`crate::inside::Ended`].
    pub(crate) ends: String,
    /// What it needs.
    pub(crate) builds: Builds,
    /// Whether its program makes a source archive, and is no part of a build.
    pub(crate) is_archive: bool,
    /// Limits of its builds, as a recipe's `[limits]` has them.
    pub(crate) limits: BTreeMap<String, u32>,
    /// Why it is not stopped, or what the table should say besides.
    pub(crate) note: Option<String>,
    fields: BTreeMap<String, String>,
}

/// The fields that a header may have; the first five it must.
const FIELDS: [&str; 13] = [
    "attack",
    "topic",
    "stops",
    "reprove",
    "bwrap",
    "ordinary",
    "bwrap-ordinary",
    "ends",
    "builds",
    "limits",
    "note",
    "mark",
    "through",
];

impl Attack {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_script = path.extension().is_some_and(|ending| ending == "sh");
        let comment = if is_script { "#" } else { "//" };
        let lines = text.lines().skip(usize::from(is_script));
        let header: Vec<&str> = lines.map_while(|line| line.strip_prefix(comment)).map(str::trim).collect();
        assert_eq!(header.first(), Some(&"SPDX-License-Identifier: Apache-2.0"), "{name}");
        let mut fields = BTreeMap::new();
        for line in &header[1..] {
            let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line:?} is no field"));
            assert!(FIELDS.contains(&field), "{name} has the unknown field {field:?}");
            assert!(fields.insert(field.to_owned(), value.to_owned()).is_none(), "{name} has {field:?} twice");
        }
        for field in &FIELDS[..5] {
            assert!(fields.contains_key(*field), "{name} has no field {field:?}");
        }
        let limit = |text: &str| {
            let (name, value) = text.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        let or = |field: &str, default: &str| fields.get(field).map_or(default, String::as_str).to_owned();
        let builds = match or("builds", "one").as_str() {
            "one" => Builds::One,
            "after" => Builds::After,
            "at-once" => Builds::AtOnce,
            other => panic!("{name}: {other:?} builds"),
        };
        assert!(Way::ALL.iter().all(|way| !name.contains(&format!("::{}", way.name()))));
        let attack = Self {
            path: path.to_owned(),
            tries: fields["attack"].clone(),
            topic: fields["topic"].clone(),
            ends: or("ends", "well"),
            builds,
            is_archive: fields.get("through").is_some_and(|through| through == "archive"),
            limits: or("limits", "").split_whitespace().map(limit).collect(),
            note: fields.get("note").cloned(),
            name,
            fields,
        };
        for way in Way::ALL {
            let _ = attack.expected(way);
        }
        attack
    }

    /// Its result, as the header has it.
    pub(crate) fn expected(&self, way: Way) -> Outcome {
        let (field, or) = way.fields();
        let value = self.fields.get(field).unwrap_or_else(|| &self.fields[or]);
        Outcome::parse(value).unwrap_or_else(|| panic!("{}: {field}: {value:?} is no outcome", self.name))
    }

    /// Writes into its header what came of it in bubblewrap by root, and by an ordinary user where that is something else.
    pub(crate) fn set_bubblewrap(&self, root: Outcome, ordinary: Outcome) {
        let text = fs::read_to_string(&self.path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.contains(" bwrap-ordinary: "));
        let at = lines.iter().position(|line| line.contains(" bwrap: ")).unwrap();
        let (comment, _) = lines[at].split_once(' ').unwrap();
        let line = |field: &str, outcome: Outcome| format!("{comment} {field}: {outcome}");
        let measured = [line("bwrap", root), line("bwrap-ordinary", ordinary)];
        let differ = usize::from(root != ordinary);
        lines.splice(at..=at, measured.into_iter().take(1 + differ));
        fs::write(&self.path, lines.join("\n") + "\n").unwrap();
    }

    /// What should stop it.
    pub(crate) fn stops(&self) -> &str {
        &self.fields["stops"]
    }

    /// Whether a terminal has to be there.
    pub(crate) fn wants_terminal(&self) -> bool {
        self.topic == "terminal"
    }

    /// Wall-clock time of each of its builds, in seconds.
    pub(crate) fn seconds(&self) -> u32 {
        self.limits.get("seconds").copied().unwrap_or(SECONDS)
    }
}

/// The limit of time of an attack that says none.
const SECONDS: u32 = 30;

/// All attacks, sorted by topic and name.
pub(crate) fn all() -> Vec<Attack> {
    let mut attacks: Vec<Attack> = files().iter().map(|path| Attack::read(path)).collect();
    attacks.sort_by(|a, b| (&a.topic, &a.name).cmp(&(&b.topic, &b.name)));
    attacks
}

/// The folder of the attacks.
pub(crate) fn folder() -> PathBuf {
    workspace().join("tests/attacks")
}

#[expect(clippy::disallowed_methods, reason = "sorted here")]
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        let is = |ending| path.extension().is_some_and(|e| e == ending);
        (is("c") && path.file_stem().is_some_and(|name| name != "bait")) || is("sh")
    });
    files.sort();
    files
}
