// SPDX-License-Identifier: Apache-2.0
//! What mends a difference of a known cause, and what of that can be tried by setting it.

use reprove_model::{Cause, EpochRule, Finding, FindingKind, Recipe, Variation};

/// One mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What to do, for a person; no final stop.
    pub text: String,
    /// What of a recipe does it, where that is enough.
    pub setting: Option<Setting>,
    /// Where the tool's own documentation, or that of the practice, says more.
    pub link: &'static str,
}

/// A change of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// `build.source-date-epoch = { at = SECONDS }`.
    Epoch(u64),
    /// An environment variable, in `build.env`.
    Variable(&'static str, String),
    /// A line of shell before every step.
    Before(&'static str),
}

impl Setting {
    /// The recipe with it; none where it is in it already, or has something else in its place.
    #[must_use]
    pub fn apply(&self, recipe: &Recipe) -> Option<Recipe> {
        let mut changed = recipe.clone();
        match self {
            Self::Epoch(_) if recipe.build.source_date_epoch != EpochRule::Unset => return None,
            Self::Epoch(seconds) => changed.build.source_date_epoch = EpochRule::At(*seconds),
            Self::Variable(name, value) if recipe.build.env.contains_key(*name) => {
                // Options come one after the other.
                let options = changed.build.env.get_mut(*name).filter(|_| *name == "TAR_OPTIONS")?;
                options.push(' ');
                options.push_str(value);
            }
            Self::Variable(name, value) => {
                changed.build.env.insert((*name).to_owned(), value.clone());
            }
            Self::Before(line) => {
                for step in &mut changed.build.steps {
                    *step = format!("{line}\n{step}");
                }
            }
        }
        Some(changed)
    }

    /// As a person writes it into a recipe.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Epoch(seconds) => format!("build.source-date-epoch = {{ at = {seconds} }}"),
            Self::Variable(name, value) => format!("build.env.{name} = \"{value}\""),
            Self::Before(line) => format!("before every step: {line}"),
        }
    }
}

const EPOCH: &str = "https://reproducible-builds.org/docs/source-date-epoch/";
const ARCHIVES: &str = "https://reproducible-builds.org/docs/archives/";
const TAR: &str = "https://www.gnu.org/software/tar/manual/html_section/Reproducibility.html";
const GCC: &str = "https://gcc.gnu.org/onlinedocs/gcc/Overall-Options.html#index-ffile-prefix-map";
const LOCALES: &str = "https://reproducible-builds.org/docs/locales/";
const TIME_ZONES: &str = "https://reproducible-builds.org/docs/timezones/";
const ORDER: &str = "https://reproducible-builds.org/docs/stable-inputs/";
const BUILD_PATH: &str = "https://reproducible-builds.org/docs/build-path/";
const RANDOM: &str = "https://reproducible-builds.org/docs/randomness/";
const PROCESSORS: &str = "https://gcc.gnu.org/onlinedocs/gcc/x86-Options.html";
const VALUES: &str = "https://reproducible-builds.org/docs/value-initialization/";
const PYTHON: &str = "https://docs.python.org/3/using/cmdline.html#envvar-PYTHONHASHSEED";
const SYSTEM: &str = "https://reproducible-builds.org/docs/system-images/";
const MAKE: &str = "https://www.gnu.org/software/make/manual/html_node/Parallel.html";
const PRACTICES: &str = "https://reproducible-builds.org/docs/";

/// What mends this finding, where it has this cause; `epoch` is a time for `SOURCE_DATE_EPOCH`, of the source where that is
/// known, in seconds since 1970. What can be tried comes first.
#[must_use]
pub fn advice(finding: &Finding, cause: &Cause, epoch: u64) -> Vec<Advice> {
    let mut all: Vec<Advice> = cause.variations().iter().flat_map(|variation| of(*variation, finding, epoch)).collect();
    if let Cause::Unstable { .. } = cause {
        all.push(setting(
            "have one job at a time, in case jobs race",
            Setting::Variable("MAKEFLAGS", "-j1".into()),
            MAKE,
        ));
        all.push(setting(
            "fix the seed of hashes, in case their order is written out",
            Setting::Variable("PYTHONHASHSEED", "0".into()),
            PYTHON,
        ));
        all.push(only("find what is random, or depends on how long something takes; `--deterministic` shows what is left without entropy and clocks", RANDOM));
    }
    all.sort_by_key(|advice| advice.setting.is_none());
    all
}

fn setting(text: &str, setting: Setting, link: &'static str) -> Advice {
    Advice { text: text.into(), setting: Some(setting), link }
}

fn only(text: &str, link: &'static str) -> Advice {
    Advice { text: text.into(), setting: None, link }
}

fn of(variation: Variation, finding: &Finding, epoch: u64) -> Vec<Advice> {
    let tar = |text: &str, options: String| setting(text, Setting::Variable("TAR_OPTIONS", options), TAR);
    match variation {
        Variation::Clock => clock(finding, epoch),
        Variation::BuildPath => vec![
            setting(
                "map the build directory away",
                Setting::Before(
                    "export CFLAGS=\"${CFLAGS:-} -ffile-prefix-map=$PWD=.\" CXXFLAGS=\"${CXXFLAGS:-} -ffile-prefix-map=$PWD=.\"",
                ),
                GCC,
            ),
            only("don't write the path down, or write it relative to the source", BUILD_PATH),
        ],
        Variation::Locale => vec![setting(
            "sort and print in one locale",
            Setting::Before("export LC_ALL=C LANG=C; unset LANGUAGE"),
            LOCALES,
        )],
        Variation::TimeZone => {
            vec![setting("have times in one zone", Setting::Variable("TZ", "UTC".into()), TIME_ZONES)]
        }
        Variation::HashSeed => vec![
            setting(
                "fix the seed of Python's hashes",
                Setting::Before("export PYTHONHASHSEED=0 PERL_HASH_SEED=0"),
                PYTHON,
            ),
            only("sort what comes out of a hash before it is written", ORDER),
        ],
        Variation::Umask => {
            vec![setting("set the umask", Setting::Before("umask 022"), ARCHIVES)]
        }
        Variation::User if finding.kind == FindingKind::ArchiveOwners => {
            vec![tar("have all files be root's in archives", "--owner=0 --group=0 --numeric-owner".into())]
        }
        Variation::FileOrder if finding.kind == FindingKind::ArchiveOrder => {
            vec![tar("sort what an archive has", "--sort=name".into()), only("sort what directories list", ORDER)]
        }
        Variation::FileOrder => vec![only("sort what directories list, in one locale: `LC_ALL=C sort`", ORDER)],
        Variation::Processors | Variation::Load => vec![
            setting("have one job at a time", Setting::Variable("MAKEFLAGS", "-j1".into()), MAKE),
            only("make the result independent of what is finished first, and don't write the number down", ORDER),
        ],
        Variation::Addresses => vec![only("don't write addresses down, nor sort by them", VALUES)],
        Variation::Entropy => {
            vec![only("don't use what is random, or seed it with something of the source", RANDOM)]
        }
        Variation::InodeNumbers => vec![only("don't write inode numbers down, nor sort by them", VALUES)],
        Variation::ProcessorModel => vec![only(
            "build for a processor that is named, as by `-march=x86-64`, and not for the one that is there",
            PROCESSORS,
        )],
        Variation::ProcessIds => vec![only("don't write process ids down, nor name files by them", RANDOM)],
        Variation::Home => {
            vec![setting("have another home directory", Setting::Before("export HOME=/tmp"), PRACTICES)]
        }
        Variation::TemporaryDirectory => {
            vec![setting(
                "have one directory for temporary files",
                Setting::Variable("TMPDIR", "/tmp".into()),
                PRACTICES,
            )]
        }
        Variation::SearchPath => {
            vec![setting("have one search path", Setting::Variable("PATH", "/usr/bin:/bin".into()), PRACTICES)]
        }
        Variation::ExtraVariable => vec![only("don't write the whole environment down", PRACTICES)],
        Variation::User
        | Variation::Hostname
        | Variation::Domain
        | Variation::Kernel
        | Variation::KernelRelease
        | Variation::Memory => {
            vec![only(&format!("don't write the {} down", variation.name()), SYSTEM)]
        }
        Variation::ClockSpeed => {
            vec![only("don't write down how long things took, and stop for no clock", VALUES)]
        }
        Variation::StandardInput => vec![only("don't look at standard input", PRACTICES)],
        Variation::Terminal => vec![only(
            "write no colours, and nothing fitted to a width, into what is kept; most programs have an option like `--color=never`",
            PRACTICES,
        )],
        Variation::FileSystem => {
            vec![only("sort what directories list, and write down no sizes of blocks and no inode numbers", ORDER)]
        }
    }
}

fn clock(finding: &Finding, epoch: u64) -> Vec<Advice> {
    let mut all = vec![setting("take the time from SOURCE_DATE_EPOCH", Setting::Epoch(epoch), EPOCH)];
    if matches!(finding.kind, FindingKind::ArchiveTimes | FindingKind::ZipEntryTimes) {
        all.push(setting(
            "give archives times of their own",
            Setting::Variable("TAR_OPTIONS", format!("--mtime=@{epoch} --clamp-mtime")),
            TAR,
        ));
        all.push(setting("leave name and time out of gzip's header", Setting::Variable("GZIP", "-n".into()), ARCHIVES));
    }
    all.push(only("don't write the time down", "https://reproducible-builds.org/docs/timestamps/"));
    all
}

#[cfg(test)]
mod tests {
    use reprove_model::{Between, DigestSet};

    use super::*;

    fn finding(kind: FindingKind) -> Finding {
        Finding {
            between: Between::Rebuilds,
            place: "out".into(),
            kind,
            summary: String::new(),
            details: vec![],
            count: 1,
            causes: vec![],
            proposed: vec![],
        }
    }

    fn recipe() -> Recipe {
        let text = "package.name = 'p'\nsource.directory = '.'\nbuild.steps = ['make']\noutputs.paths = ['out']\n";
        Recipe::from_toml(text).unwrap()
    }

    #[test]
    fn every_cause_has_advice_and_what_can_be_tried_comes_first() {
        let record = DigestSet::of(b"r");
        let single = |variation| Cause::Varied { variation, record, kept: None };
        let causes = Variation::ALL.into_iter().map(single).chain([Cause::Unstable { record }]);
        for cause in causes {
            for kind in [FindingKind::Content, FindingKind::ArchiveTimes, FindingKind::ArchiveOwners] {
                let advice = advice(&finding(kind), &cause, 1);
                assert!(!advice.is_empty(), "{cause:?}");
                assert!(advice.is_sorted_by_key(|advice| advice.setting.is_none()));
                assert!(advice.iter().all(|advice| advice.link.starts_with("https://")));
            }
        }
    }

    #[test]
    fn a_setting_makes_another_recipe_that_can_be_one() {
        let recipe = recipe();
        for setting in [Setting::Epoch(7), Setting::Variable("TZ", "UTC".into()), Setting::Before("umask 022")] {
            let changed = setting.apply(&recipe).unwrap();
            changed.check().unwrap();
            assert_ne!(changed, recipe, "{}", setting.said());
        }
        assert_eq!(Setting::Before("umask 022").apply(&recipe).unwrap().build.steps, ["umask 022\nmake"]);
    }

    #[test]
    fn what_a_recipe_has_settled_is_left() {
        let epoch = Setting::Epoch(7);
        let changed = epoch.apply(&recipe()).unwrap();
        assert_eq!(epoch.apply(&changed), None);
        let zone = Setting::Variable("TZ", "UTC".into());
        let mut recipe = recipe();
        recipe.build.env.insert("TZ".into(), "Europe/Paris".into());
        assert_eq!(zone.apply(&recipe), None);
        let tar = |options: &str| Setting::Variable("TAR_OPTIONS", options.into());
        let both = tar("--sort=name").apply(&tar("--owner=0").apply(&recipe).unwrap()).unwrap();
        assert_eq!(both.build.env.get("TAR_OPTIONS").unwrap(), "--owner=0 --sort=name");
    }
}
