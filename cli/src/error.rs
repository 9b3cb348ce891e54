// SPDX-License-Identifier: Apache-2.0
//! Errors for people, and exit codes for scripts: what happened, why, and what to do next. The only place that maps the
//! libraries' errors to either.

use std::error::Error;
use std::io::{self, Write as _};

use clap::error::ErrorKind;
use reprove_attest::AttestError;
use reprove_images::EnvironmentError;
use reprove_inputs::{InputsError, Kind};
use reprove_job::JobError;
use reprove_runner::trace::ListingError;
use reprove_runner::{Forbidden, RunError, SandboxError, SourceError};
use reprove_store::{IngestError, StoreError, UnpackError};
use reprove_verifier::JudgeError;
use reprove_verifier::compare::CompareError;
use serde_json::{Map, Value, json};

use crate::failure::from_failure;
use crate::{env_vars, environments, hardware, machines, output, plain};

/// Yes.
pub(crate) const YES: u8 = 0;
/// No: different, or does not verify.
pub(crate) const NO: u8 = 1;
/// Bad usage or bad input.
pub(crate) const BAD_USAGE: u8 = 2;
/// The build failed.
pub(crate) const BUILD_FAILED: u8 = 3;
/// This machine can't do what was asked.
pub(crate) const CANNOT: u8 = 4;

/// Why a command ended without an answer.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) code: u8,
    /// What happened and why, one line.
    message: String,
    /// More, line by line.
    details: Vec<String>,
    /// What to do next.
    next: Vec<String>,
    /// What else the JSON object has.
    facts: Map<String, Value>,
    /// All of it as text for people, where the arguments make no sense.
    usage: Option<Box<str>>,
}

impl CommandError {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), next: Vec::new(), facts: Map::new(), usage: None }
    }

    pub(crate) fn bad_usage(message: impl Into<String>) -> Self {
        Self::new(BAD_USAGE, message)
    }

    pub(crate) fn build_failed(message: impl Into<String>) -> Self {
        Self::new(BUILD_FAILED, message)
    }

    pub(crate) fn cannot(message: impl Into<String>) -> Self {
        Self::new(CANNOT, message)
    }

    /// Ended by a signal; shells know such an end by 128 and its number.
    pub(crate) fn interrupted(signal: u8) -> Self {
        Self::new(128 + signal, "interrupted; nothing was kept of what was not finished")
    }

    #[must_use]
    pub(crate) fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }

    /// Says more of why, in the same line.
    #[must_use]
    fn since(mut self, why: impl std::fmt::Display) -> Self {
        self.message.push_str(&format!("; that is since {why}"));
        self
    }

    /// Lines that are shown below the message.
    #[must_use]
    pub(crate) fn details(mut self, lines: &[String]) -> Self {
        self.details.extend_from_slice(lines);
        self
    }

    /// One more member of the JSON object; `docs/schema/error.json` has all.
    #[must_use]
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Where a disk is full, says how to have another one for what is not kept.
    #[must_use]
    pub(crate) fn in_temporary_folder(mut self) -> Self {
        if self.next == [FULL] {
            self.next = vec!["set TMPDIR to a folder with more space".into()];
        }
        self
    }

    /// The message, and what to do next.
    pub(crate) fn into_parts(self) -> (String, Vec<String>) {
        (self.message, self.next)
    }

    /// Prints the error on standard error, and with `--json` as an object on standard output.
    pub(crate) fn print(&self, json: bool) {
        let text = self.usage.as_deref().map(str::to_owned).unwrap_or_else(|| {
            let mut text = format!("error: {}\n", self.message);
            self.details.iter().for_each(|line| text.push_str(&format!("  | {}\n", plain::line(line))));
            self.next.iter().for_each(|line| text.push_str(&format!("  next: {line}\n")));
            text
        });
        // Where standard error is closed, the exit code still says it.
        let _ = io::stderr().write_all(plain::text(&text).as_bytes());
        if json {
            let mut object =
                json!({ "error": self.message, "details": self.details, "next": self.next, "code": self.code });
            if let Some(object) = object.as_object_mut() {
                object.extend(self.facts.clone());
            }
            let _ = output::json(&object);
        }
    }
}

impl From<clap::Error> for CommandError {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim);
        let about: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let mut this = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                Self::bad_usage("there is no subcommand").next("`reprove --help` lists them")
            }
            _ => {
                let message = about.join(" ");
                let mut this = Self::bad_usage(message.strip_prefix("error: ").unwrap_or(&message));
                this.next = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
                this
            }
        };
        this.usage = Some(text.into());
        this
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let this = from_error(CANNOT, &error);
        with_mend(this, Some(&error))
    }
}

/// The store can't be opened or made.
pub(crate) fn from_opening(error: StoreError) -> CommandError {
    let mut this = CommandError::from(error);
    this.message.insert_str(0, "the store can't be opened: ");
    if this.next.is_empty() { this.next(format!("name another with --store DIR or {}", env_vars::STORE)) } else { this }
}

impl From<JobError> for CommandError {
    fn from(error: JobError) -> Self {
        let this = match &error {
            JobError::Inputs(inputs) => from_inputs(inputs),
            JobError::Build(failure) => from_failure(failure),
            JobError::Attest(AttestError::Signer(signer)) => signer.clone().into(),
            JobError::Run(run) => from_run(run),
            JobError::Environment(environment) => from_environment(environment),
            JobError::Image(image) => machines::from_image(image),
            JobError::Judge(JudgeError::Empty) => from_error(BUILD_FAILED, &error),
            JobError::Source(SourceError::Store(_) | SourceError::Unpack(UnpackError::Store(_))) => {
                from_error(CANNOT, &error)
            }
            JobError::Confidential(error) => hardware::from_confidential(error),
            JobError::Source(_) | JobError::Published(_) | JobError::NothingToSearch | JobError::NoManifest(_) => {
                from_error(BAD_USAGE, &error)
            }
            JobError::NoSuchOutput { .. } => from_error(BAD_USAGE, &error)
                .next("name the file as the build does, or have `outputs.paths` in its reprove.toml name it"),
            JobError::ArtifactInSource(_) => {
                from_error(BAD_USAGE, &error).next("keep what was published outside of the project's directory")
            }
            JobError::NothingVaried => from_error(BAD_USAGE, &error)
                .next("leave out `--vary`, or fewer of the pins; docs/explaining.md says what can be varied"),
            JobError::Packages(packages) => environments::from_packages(packages),
            JobError::Store(_)
            | JobError::Unread(_)
            | JobError::EnvironmentChanged
            | JobError::Internal(_)
            | JobError::Judge(_)
            | JobError::Attest(_)
            | JobError::Proof(_)
            | JobError::Canonical(_) => from_error(CANNOT, &error),
        };
        with_mend(this, in_store(&error))
    }
}

/// What the store said, where it is what failed.
fn in_store(error: &JobError) -> Option<&StoreError> {
    match error {
        JobError::Store(error)
        | JobError::Run(RunError::Store(error) | RunError::Output { error: IngestError::Store(error), .. })
        | JobError::Source(SourceError::Store(error) | SourceError::Unpack(UnpackError::Store(error)))
        | JobError::Inputs(
            InputsError::Store(error)
            | InputsError::Ingest(IngestError::Store(error))
            | InputsError::Archive { source: UnpackError::Store(error), .. },
        ) => Some(error),
        JobError::Judge(JudgeError::Compare(CompareError::Open { source, .. })) => source.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Says what to do about a store that lacks something or has something else.
fn with_mend(this: CommandError, error: Option<&StoreError>) -> CommandError {
    match error {
        Some(StoreError::Missing(_)) => this.next("run the command again: what is missing is fetched or built anew"),
        Some(StoreError::Damaged(path)) => {
            this.next(format!("rm {}", path.display())).next("run the command again: it is fetched or built anew")
        }
        Some(StoreError::Busy { .. }) => this.next("run the command again when the other one has ended"),
        Some(StoreError::NotOurs { .. }) => this.next(format!("name another with --store DIR or {}", env_vars::STORE)),
        Some(StoreError::Quota { .. }) => this.next(format!("set {} to more, or unset it", env_vars::STORE_QUOTA)),
        Some(StoreError::BadRoot { path, .. }) => this
            .next(format!("rm {}", path.display()))
            .next("what that root alone kept goes with the next `reprove store gc`"),
        Some(StoreError::Io { .. } | StoreError::TooLarge(..) | StoreError::RootName(_)) | None => this,
    }
}

fn from_run(error: &RunError) -> CommandError {
    let this = from_run_alone(error);
    match error {
        RunError::Output { log, .. } => this.fact("log", log.display().to_string()),
        _ => this,
    }
}

fn from_run_alone(error: &RunError) -> CommandError {
    match error {
        RunError::Sandbox(sandbox) => from_sandbox(sandbox),
        RunError::Output { error: IngestError::Store(_) | IngestError::NoOpenat2, .. } => from_error(CANNOT, error),
        RunError::Output { error: IngestError::SetId(..), .. } => from_error(BUILD_FAILED, error)
            .next("if it is meant, write `set-id = true` below `[outputs]` in the recipe"),
        RunError::Output { .. } => from_error(BUILD_FAILED, error)
            .next("check `outputs` in the recipe: every path there must exist after the last step"),
        RunError::OutputLink(_) => from_error(BUILD_FAILED, error),
        RunError::OutputFile(path) => from_error(BUILD_FAILED, error)
            .next(format!("write `paths = [\"{path}\"]` below `[outputs]` in the recipe")),
        RunError::Listing(ListingError::Unlocked(path)) => from_error(BUILD_FAILED, error)
            .next(format!("have the build do without {path}, or make it part of the source"))
            .next("`--record declared` builds without looking at what is read"),
        RunError::Listing(ListingError::Closed(path)) => {
            from_error(BUILD_FAILED, error).next(format!("chmod a+rX {path}, or run it as root"))
        }
        RunError::Machine(machine) => machines::from_machine(machine),
        RunError::TooManyOutputs { .. } => {
            from_error(BUILD_FAILED, error).next("name fewer files in `outputs` in the recipe")
        }
        RunError::Tool(_) => from_error(BAD_USAGE, error),
        RunError::SameName(_) => from_error(BAD_USAGE, error).next("name each input once"),
        _ => from_error(CANNOT, error),
    }
}

/// This machine's `/usr` can't be a root filesystem.
pub(crate) fn from_environment(error: &EnvironmentError) -> CommandError {
    let this = from_error(CANNOT, error);
    match error {
        EnvironmentError::NotMerged(_) => this.next("apt install usrmerge"),
        EnvironmentError::Changing => this.next("run it again when nothing is being installed"),
        EnvironmentError::Kept(_) => this.next("reprove store verify --repair"),
        EnvironmentError::Hash(_) | EnvironmentError::Io { .. } => this,
    }
}

/// The error and its causes; a full disk is told apart wherever it happened.
pub(crate) fn from_error(code: u8, error: &(dyn Error + 'static)) -> CommandError {
    let mut message = error.to_string();
    let mut full = is_full_disk(error);
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        full |= is_full_disk(inner);
        cause = inner.source();
    }
    if full {
        return CommandError::cannot(message).next(FULL);
    }
    CommandError::new(code, message)
}

const FULL: &str = "free some space, or put the store elsewhere with --store DIR";

fn is_full_disk(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

fn from_inputs(error: &InputsError) -> CommandError {
    let code = match error.kind() {
        Kind::BadInput => BAD_USAGE,
        Kind::CannotHere => CANNOT,
    };
    from_error(code, error)
}

/// Where namespaces are refused, says which settings do that.
pub(crate) fn from_sandbox(error: &SandboxError) -> CommandError {
    sandbox_hints(error, nix::unistd::geteuid().is_root(), Forbidden::here())
}

fn sandbox_hints(error: &SandboxError, is_root: bool, forbidden: Option<Forbidden>) -> CommandError {
    let message = from_error(CANNOT, error);
    match (error, forbidden) {
        (SandboxError::Setup { doing, errno: 1 | 13 | 28, .. }, Some(setting))
            if (!is_root || setting == Forbidden::NoNamespaces) && may_forbid(setting, doing) =>
        {
            message.since(setting).next(if is_root {
                setting.mend().to_owned()
            } else {
                format!("run it as root, or as root: {}", setting.mend())
            })
        }
        (error, _) => sandbox_hints_of(error, message, is_root),
    }
}

fn sandbox_hints_of(error: &SandboxError, message: CommandError, is_root: bool) -> CommandError {
    match error {
        SandboxError::Setup { doing, errno: 1 | 13 | 22 | 28, .. } if is_about_namespaces(doing) => {
            let allow = "allow user namespaces: sysctl -w user.max_user_namespaces=15000";
            message
                .next(if is_root { allow.to_owned() } else { format!("run it as root, or {allow}") })
                .next("on Ubuntu 23.10 and newer also: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
        }
        SandboxError::Setup { doing, .. } if doing == "mounting overlay" => {
            message.next("--pin file-system='no overlay can be mounted here' leaves that file system out")
        }
        SandboxError::Setup { doing, errno: 1, .. } if doing == "mounting proc" => message
            .next("a container that masks /proc can't hold a sandbox; run outside of it, or with an unmasked /proc"),
        SandboxError::Setup { doing, errno: 22, .. } if doing == WATCHING => {
            message.next("Linux 5.19 is needed to watch what a build reads; `--record declared` does without")
        }
        SandboxError::Setup { .. } => message.next("`reprove doctor` says what this machine lacks"),
        SandboxError::SourceTooLarge { .. } => {
            from_error(BAD_USAGE, error).next("raise `limits.disk-mib` in the recipe")
        }
        SandboxError::SourcePastMemory { .. } => {
            from_error(BAD_USAGE, error).next("raise `limits.memory-mib` in the recipe")
        }
        SandboxError::Weak { .. } => message.next("`reprove doctor` says what this machine lacks, and what mends it"),
        SandboxError::Io { .. } | SandboxError::Lost => message,
    }
}

/// What was being done when the kernel was asked to tell of a build's calls.
const WATCHING: &str = "having the build watched";

/// Whether `setting` can be why a step was refused. AppArmor lets the namespaces be made, and takes every capability away in
/// them: what fails then is the first step that needs one.
fn may_forbid(setting: Forbidden, doing: &str) -> bool {
    const FIRST_IN_THEM: [&str; 6] = [
        "leaving the caller's groups",
        "changing the group",
        "changing the user",
        "keeping capabilities",
        "making mounts private",
        "setting the host name",
    ];
    is_about_namespaces(doing) || setting == Forbidden::AppArmor && FIRST_IN_THEM.contains(&doing)
}

/// Making them, or writing the maps of ids that they need.
fn is_about_namespaces(doing: &str) -> bool {
    let is_map = |doing: &str| ["uid_map", "gid_map", "setgroups"].iter().any(|file| doing.ends_with(file));
    ["making the namespaces", "making the time namespace"].contains(&doing)
        || doing.starts_with("writing ") && doing.contains("/proc/PID/") && is_map(doing)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser as _;
    use reprove_model::{Digest, InsidePath, TreePath};

    use super::*;

    fn setup(doing: &str, errno: i32) -> SandboxError {
        SandboxError::Setup { doing: doing.to_owned(), errno, why: "no".to_owned() }
    }

    #[test]
    fn only_what_refuses_namespaces_is_said_to() {
        for doing in ["making the namespaces", "writing \"0 0 1\" to /proc/PID/uid_map"] {
            let (_, next) = sandbox_hints(&setup(doing, 1), false, None).into_parts();
            assert!(next[0].starts_with("run it as root, or allow user namespaces"), "{next:?}");
            let (_, next) = sandbox_hints(&setup(doing, 1), true, None).into_parts();
            assert!(!next.concat().contains("root") && next[0].starts_with("allow user namespaces"), "{next:?}");
        }
        for doing in
            ["taking /srv/maps into the sandbox", "writing the source into the build directory", "writing /etc/map"]
        {
            let (_, next) = sandbox_hints(&setup(doing, 13), false, None).into_parts();
            assert_eq!(next, ["`reprove doctor` says what this machine lacks"], "{doing}");
        }
    }

    #[test]
    fn a_setting_that_forbids_namespaces_is_named() {
        let hints = |doing, is_root, setting| sandbox_hints(&setup(doing, 13), is_root, Some(setting)).into_parts().1;
        let error = sandbox_hints(&setup("making mounts private", 13), false, Some(Forbidden::AppArmor));
        assert!(error.message.contains("; that is since AppArmor forbids"), "{error:?}");
        assert!(error.next[0].starts_with("run it as root, or as root: sysctl -w kernel.apparmor"), "{error:?}");
        for (doing, setting) in [
            ("writing the source into the build directory", Forbidden::AppArmor),
            ("taking /srv/maps into the sandbox", Forbidden::AppArmor),
            ("making mounts private", Forbidden::OnlyForRoot),
        ] {
            assert_eq!(hints(doing, false, setting), ["`reprove doctor` says what this machine lacks"], "{doing}");
        }
        // Root isn't held by it.
        assert!(!hints("making mounts private", true, Forbidden::AppArmor).concat().contains("AppArmor"));
        assert!(hints("making the namespaces", true, Forbidden::NoNamespaces)[0].starts_with("sysctl -w user.max"));
    }

    #[test]
    fn what_the_recipe_limits_is_no_fault_of_the_machine() {
        let too_large = CommandError::from(JobError::Run(SandboxError::SourceTooLarge { disk_mib: 1 }.into()));
        assert_eq!((too_large.code, too_large.next), (BAD_USAGE, vec!["raise `limits.disk-mib` in the recipe".into()]));
        let error = IngestError::SetId(TreePath::new("bin/su").unwrap(), 0o4755);
        let set_id = CommandError::from(JobError::Run(RunError::Output { error, log: "/log".into() }));
        assert_eq!((set_id.code, set_id.next.len()), (BUILD_FAILED, 1));
        assert!(set_id.message.contains("bin/su has the mode 4755") && set_id.next[0].contains("set-id = true"));
        let too_many = CommandError::from(JobError::Run(RunError::TooManyOutputs { most: 9 }));
        assert_eq!((too_many.code, too_many.next.len()), (BUILD_FAILED, 1));
    }

    #[test]
    fn what_a_build_may_not_read_comes_with_what_to_do() {
        let path = || InsidePath::new("/usr/share/closed").unwrap();
        for (listing, word) in
            [(ListingError::Unlocked(path()), "source"), (ListingError::Closed(path()), "chmod a+rX")]
        {
            let error = CommandError::from(JobError::Run(RunError::Listing(listing)));
            assert_eq!(error.code, BUILD_FAILED);
            assert!(error.next[0].contains(word) && error.next[0].contains("/usr/share/closed"), "{error:?}");
        }
    }

    #[test]
    fn a_damaged_store_comes_with_what_to_type() {
        let damaged = || StoreError::Damaged(PathBuf::from("/store/blobs/ab/cd"));
        let missing = || StoreError::Missing(Digest::of(b"x"));
        let opened =
            CompareError::Open { place: "out".into(), digest: Digest::of(b"x"), source: io::Error::other(damaged()) };
        for error in [
            JobError::Store(damaged()),
            JobError::Run(RunError::Store(damaged())),
            JobError::Source(SourceError::Store(damaged())),
            JobError::Inputs(InputsError::Store(damaged())),
            JobError::Judge(JudgeError::Compare(opened)),
        ] {
            let error = CommandError::from(error);
            assert_eq!((error.code, error.next[0].as_str(), error.next.len()), (CANNOT, "rm /store/blobs/ab/cd", 2));
        }
        assert!(CommandError::from(JobError::Store(missing())).next[0].starts_with("run the command again"));
        assert!(CommandError::from(missing()).next[0].starts_with("run the command again"));
    }

    #[test]
    fn what_clap_says_is_an_error_like_any_other() {
        let error = |arguments: &[&str]| {
            let all = ["reprove"].into_iter().chain(arguments.iter().copied());
            CommandError::from(crate::commands::Cli::try_parse_from(all).unwrap_err())
        };
        let unknown = error(&["rebuid"]);
        assert_eq!((unknown.code, unknown.message.as_str()), (BAD_USAGE, "unrecognized subcommand 'rebuid'"));
        assert_eq!(unknown.next[0], "tip: some similar subcommands exist: 'build', 'rebuild'");
        let without_key = error(&["audit", "x"]);
        let needed = "the following required arguments were not provided: <--key <FILE>|--trust <FILE>>";
        assert_eq!(without_key.message, needed);
        assert_eq!(error(&[]).message, "there is no subcommand");
        assert_eq!(error(&["key"]).code, BAD_USAGE);
    }
}
