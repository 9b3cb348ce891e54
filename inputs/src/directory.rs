// SPDX-License-Identifier: Apache-2.0
//! Local project directories. No network.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use reprove_model::{Content, Input, Lock, LockedEnvironment, Recipe, Role, Source, Tree, TreePath};
use reprove_store::{IngestLimits, Store};
use tokio::process::Command;

use crate::process::{self, Finished, ProcessError};
use crate::{InputsError, blocking};

/// Locks the directory that `recipe` builds, which is relative to `recipe_dir`, an absolute path. Its files are in `store`
/// afterwards.
///
/// Everything in the directory is part of the source, but for anything called `.git`, and, where the directory is in a Git
/// work tree, what Git ignores; empty directories, which Git does not know, are left out there too. A submodule, or
/// another work tree inside, is taken in whole. Files at the top that are called `*.proof.json` or `*.proof.json~`, and a directory there that
/// is called [`OUTPUT_DIRECTORY`], are left out everywhere: they are what reprove itself writes there, and the next run would
/// have another source because of them.
///
/// # Errors
/// See [`InputsError`]; [`InputsError::OutputInSource`] where an output is there before the build.
pub async fn lock(
    recipe: Recipe,
    recipe_dir: &Path,
    store: &Store,
    environment: LockedEnvironment,
) -> Result<Lock, InputsError> {
    let inputs = vec![source(&recipe, recipe_dir, store).await?];
    Ok(Lock { recipe, inputs, environment, published: None })
}

/// The source alone, as [`lock`] has it.
///
/// # Errors
/// As [`lock`].
pub async fn source(recipe: &Recipe, recipe_dir: &Path, store: &Store) -> Result<Input, InputsError> {
    recipe.check()?;
    let Source::Directory(directory) = &recipe.source else {
        return Err(InputsError::NotADirectory);
    };
    let root = inside(recipe_dir, directory)?;
    let files = git_files(&root).await?;
    let (from, to) = (root.clone(), store.clone());
    let tree = blocking::run(&root, move || {
        let skip = |path: &TreePath| {
            path.file_name() == b".git" || is_ours(&from, path) || files.as_ref().is_some_and(|files| !files.has(path))
        };
        to.add_tree(&from, IngestLimits::of_own_files(), &skip)
    })
    .await?;
    of_tree(recipe, &tree)
}

/// The source alone, where it is this tree, whose files are in the store.
///
/// # Errors
/// [`InputsError::OutputInSource`] where an output is there before the build.
pub fn of_tree(recipe: &Recipe, tree: &Tree) -> Result<Input, InputsError> {
    if let Some(output) = recipe.outputs.already_in(tree) {
        return Err(InputsError::OutputInSource(output.chars().filter(|c| !c.is_control()).collect()));
    }
    let content = Content::Tree { digest: tree.digest() };
    Ok(Input { name: INPUT_NAME.parse()?, role: Role::Source, purl: None, content })
}

/// The directory `directory` below `recipe_dir`, reached through no symbolic link: a project must not bring in what lies
/// elsewhere on the machine.
fn inside(recipe_dir: &Path, directory: &str) -> Result<PathBuf, InputsError> {
    let mut path = recipe_dir.to_owned();
    for name in Path::new(directory).components().filter(|name| matches!(name, Component::Normal(_))) {
        path.push(name);
        let found =
            path.symlink_metadata().map_err(|source| InputsError::SourceDirectory { path: path.clone(), source })?;
        if !found.is_dir() {
            return Err(InputsError::SourceDirectory { path, source: io::ErrorKind::NotADirectory.into() });
        }
    }
    Ok(path)
}

/// What the source is called among the inputs.
const INPUT_NAME: &str = "source";

/// What the directory is called that `reprove build` writes into unless told otherwise.
pub const OUTPUT_DIRECTORY: &str = "reprove-out";

/// Whether a proof is called so, or one that another has taken the place of.
fn is_proof_name(name: &[u8]) -> bool {
    name.strip_suffix(b"~").unwrap_or(name).ends_with(b".proof.json")
}

/// Whether it is a proof, or the outputs, that reprove wrote at the top of the source.
fn is_ours(root: &Path, path: &TreePath) -> bool {
    let (is_proof, is_output) = (is_proof_name(path.file_name()), path.file_name() == OUTPUT_DIRECTORY.as_bytes());
    if path.parent().is_some() || !(is_proof || is_output) {
        return false;
    }
    let found = root.join(OsStr::from_bytes(path.as_bytes())).symlink_metadata();
    found.is_ok_and(|found| if is_output { found.is_dir() } else { found.is_file() })
}

/// Whether the next [`lock`] of this recipe would take in what is written into `folder`, a directory that is there, by its
/// absolute path.
///
/// # Errors
/// See [`InputsError`].
pub async fn would_take(recipe: &Recipe, recipe_dir: &Path, folder: &Path) -> Result<bool, InputsError> {
    let Source::Directory(directory) = &recipe.source else {
        return Err(InputsError::NotADirectory);
    };
    let real = |path: PathBuf| path.canonicalize().map_err(|source| InputsError::Io { path, source });
    let root = real(inside(recipe_dir, directory)?)?;
    let folder = real(folder.to_owned())?;
    let Ok(below) = folder.strip_prefix(&root) else {
        return Ok(false);
    };
    let at_top = below.components().next().map(Component::as_os_str);
    if at_top == Some(OsStr::new(OUTPUT_DIRECTORY)) || below.components().any(|name| name.as_os_str() == ".git") {
        return Ok(false);
    }
    if !is_in_work_tree(&root) {
        return Ok(true);
    }
    let doing = "asking git whether it ignores a directory";
    // The slash says that all of the directory has to be ignored.
    let path = Path::new(".").join(below).join("");
    let finished = git(&root, doing, [OsStr::new("check-ignore"), "--quiet".as_ref(), "--".as_ref(), path.as_ref()]);
    let finished = finished.await?;
    match finished.status.code() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(InputsError::Failed { doing, said: finished.said }),
    }
}

/// When the last commit of the Git work tree was made that a directory is in, in seconds since 1970; `None` where there is none, or
/// Git does not say.
pub async fn last_commit(directory: &Path) -> Option<i64> {
    if !is_in_work_tree(directory) {
        return None;
    }
    let finished =
        git(directory, "asking git for the last commit", ["rev-list", "-1", "--timestamp", "HEAD"]).await.ok()?;
    str::from_utf8(&finished.stdout).ok()?.split(' ').next()?.parse().ok()
}

/// What Git calls part of a work tree.
pub(crate) struct GitFiles {
    /// Files, and the roots of other work trees inside.
    listed: BTreeSet<Vec<u8>>,
    /// The directories that lead to them.
    above: BTreeSet<Vec<u8>>,
}

impl GitFiles {
    pub(crate) fn parse(list: &[u8]) -> Self {
        let mut files = Self { listed: BTreeSet::new(), above: BTreeSet::new() };
        for path in list.split(|&b| b == 0).filter(|path| !path.is_empty()) {
            // Another work tree inside ends with a slash.
            let path = path.strip_suffix(b"/").unwrap_or(path);
            files.above.extend(parents(path).map(<[u8]>::to_vec));
            files.listed.insert(path.to_vec());
        }
        files
    }

    pub(crate) fn has(&self, path: &TreePath) -> bool {
        let path = path.as_bytes();
        self.listed.contains(path)
            || self.above.contains(path)
            || parents(path).any(|parent| self.listed.contains(parent))
    }
}

fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').filter_map(|(at, _)| path.get(..at))
}

const DOING: &str = "listing the source's files with git";
const TIME_LIMIT: Duration = Duration::from_secs(300);
const MAX_LIST: u64 = 256 << 20;

/// The files of a Git work tree that are tracked, or neither tracked nor ignored; `None` outside of one.
async fn git_files(root: &Path) -> Result<Option<GitFiles>, InputsError> {
    if !is_in_work_tree(root) {
        return Ok(None);
    }
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let finished = git(root, DOING, arguments).await?;
    if !finished.status.success() {
        return Err(InputsError::Failed { doing: DOING, said: finished.said });
    }
    Ok(Some(GitFiles::parse(&finished.stdout)))
}

fn is_in_work_tree(root: &Path) -> bool {
    root.ancestors().any(|path| path.join(".git").symlink_metadata().is_ok())
}

/// Runs git in `root`, to its end.
async fn git(
    root: &Path,
    doing: &'static str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Finished, InputsError> {
    let mut command = Command::new("git");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    // A repository's own configuration must not run programs, as fetching what a partial clone lacks does. Then it does
    // not matter whose the repository is.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    command.args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*"]);
    // Nor is a repository that lies among the files of another one taken for the work tree's.
    command.args(["-c", "safe.bareRepository=explicit"]);
    command.current_dir(root).args(arguments);
    process::run(command, TIME_LIMIT, MAX_LIST).await.map_err(|error| match error {
        ProcessError::Start(source) if source.kind() == io::ErrorKind::NotFound && root.is_dir() => {
            let install = "the source is in a Git work tree; install git to leave out what it ignores";
            InputsError::NoProgram { program: "git".into(), source, install }
        }
        ProcessError::Start(source) | ProcessError::Io(source) => InputsError::Io { path: root.to_owned(), source },
        ProcessError::TimeOut => InputsError::TimeOut { doing, seconds: TIME_LIMIT.as_secs() },
        ProcessError::TooMuch(_) => InputsError::Answer { doing, why: error.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use reprove_model::{DigestSet, Environment};

    use super::*;

    fn environment() -> LockedEnvironment {
        LockedEnvironment { kind: Environment::HostUsr, description: "test".into(), digest: DigestSet::of(b"") }
    }

    fn recipe(directory: &str) -> Recipe {
        Recipe::from_toml(&format!(
            "[package]\nname = 'x'\n[source]\ndirectory = '{directory}'\n[build]\nsteps = ['true']\n[outputs]\npaths = ['x']"
        ))
        .unwrap()
    }

    fn git(dir: &Path, arguments: &[&str]) {
        let done = std::process::Command::new("git").current_dir(dir).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The paths that a lock of `project` has, as the store gives them back.
    async fn locked(project: &Path, directory: &str, store: &Store) -> Vec<String> {
        let lock = lock(recipe(directory), project, store, environment()).await.unwrap();
        let Content::Tree { digest } = lock.inputs[0].content else { panic!("{:?}", lock.inputs) };
        let tree = store.load_tree(&digest.blake3).unwrap();
        tree.entries().keys().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_source_directory_is_no_link_to_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join("a/b")).unwrap();
        fs::write(project.join("file"), "").unwrap();
        std::os::unix::fs::symlink("/etc", project.join("link")).unwrap();
        std::os::unix::fs::symlink(project.join("a"), project.join("near")).unwrap();
        assert!(locked(&project, "a/b", &store).await.is_empty());
        for bad in ["link", "near/b", "file", "none"] {
            let found = lock(recipe(bad), &project, &store, environment()).await;
            let error = found.expect_err(bad);
            assert!(
                matches!(error, InputsError::SourceDirectory { .. }) && error.kind() == crate::Kind::BadInput,
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn everything_is_taken_outside_of_git() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join("sub/empty")).unwrap();
        fs::write(project.join(".gitignore"), "*.log").unwrap();
        fs::write(project.join("sub/a.log"), "").unwrap();
        assert_eq!(locked(&project, ".", &store).await, [".gitignore", "sub", "sub/a.log", "sub/empty"]);
        assert_eq!(locked(&project, "sub", &store).await, ["a.log", "empty"]);
    }

    #[tokio::test]
    async fn what_git_ignores_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        for folder in ["src", "target", "inner"] {
            fs::create_dir_all(project.join(folder)).unwrap();
        }
        git(&project, &["init", "-q"]);
        git(&project.join("inner"), &["init", "-q"]);
        for (name, text) in [
            (".gitignore", "*.log\ntarget\n"),
            ("tracked.log", ""),
            ("src/new \n", ""),
            ("src/a.log", ""),
            ("target/b", ""),
            ("inner/c", ""),
            ("gone", ""),
        ] {
            fs::write(project.join(name), text).unwrap();
        }
        git(&project, &["add", "--force", "tracked.log", "gone"]);
        fs::remove_file(project.join("gone")).unwrap();
        let all = [".gitignore", "inner", "inner/c", "src", "src/new \\x0a", "tracked.log"];
        assert_eq!(locked(&project, ".", &store).await, all);
        assert_eq!(locked(&project, "src", &store).await, ["new \\x0a"]);
    }

    #[tokio::test]
    async fn a_repository_cannot_run_programs() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(&project).unwrap();
        git(&project, &["init", "-q"]);
        let mark = dir.path().join("ran");
        git(&project, &["config", "core.fsmonitor", &format!("touch {}", mark.display())]);
        locked(&project, ".", &store).await;
        assert!(!mark.exists());
    }

    /// The file that says what is ignored is only in the index, and the repository has only promised to have it.
    #[tokio::test]
    async fn a_repository_cannot_have_programs_fetch_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(&project).unwrap();
        git(&project, &["init", "-q"]);
        let mark = dir.path().join("ran");
        for (name, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "origin"),
            ("remote.origin.url", "ssh://nowhere/x"),
            ("core.sshCommand", &format!("touch {};", mark.display())),
        ] {
            git(&project, &["config", name, value]);
        }
        let missing = format!("100644,{},.gitignore", "12".repeat(20));
        git(&project, &["update-index", "--add", "--cacheinfo", &missing]);
        git(&project, &["update-index", "--skip-worktree", ".gitignore"]);
        fs::write(project.join("a"), "").unwrap();
        assert_eq!(locked(&project, ".", &store).await, ["a"]);
        assert!(!mark.exists());
    }

    /// As in a container, where the checkout belongs to the user outside.
    #[tokio::test]
    async fn a_checkout_may_be_somebody_elses() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(&project).unwrap();
        git(&project, &["init", "-q"]);
        fs::write(project.join(".gitignore"), "*.log").unwrap();
        fs::write(project.join("a.log"), "").unwrap();
        for path in [&project, &project.join(".git")] {
            std::os::unix::fs::chown(path, Some(12_345), Some(12_345)).unwrap();
        }
        assert_eq!(locked(&project, ".", &store).await, [".gitignore"]);
    }

    #[tokio::test]
    async fn an_output_that_is_there_before_the_build_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(&project).unwrap();
        git(&project, &["init", "-q"]);
        fs::write(project.join("x"), "built before").unwrap();
        let error = lock(recipe("."), &project, &store, environment()).await.unwrap_err();
        assert!(error.to_string().starts_with("`x` is in the source already"), "{error}");
        assert_eq!(error.kind(), crate::Kind::BadInput);
        fs::write(project.join(".gitignore"), "/x\n").unwrap();
        assert_eq!(locked(&project, ".", &store).await, [".gitignore"]);
    }

    #[tokio::test]
    async fn a_proof_of_the_last_run_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join("sub/a.proof.json")).unwrap();
        fs::create_dir_all(project.join("dir.proof.json")).unwrap();
        fs::write(project.join("a.c"), "").unwrap();
        let before = lock(recipe("."), &project, &store, environment()).await.unwrap();
        fs::write(project.join("hello-1.0.proof.json"), "{}").unwrap();
        fs::write(project.join("hello-1.0.proof.json~"), "{}").unwrap();
        let after = lock(recipe("."), &project, &store, environment()).await.unwrap();
        assert_eq!(before.inputs, after.inputs);
        let all = ["a.c", "dir.proof.json", "sub", "sub/a.proof.json"];
        assert_eq!(locked(&project, ".", &store).await, all);
    }

    #[tokio::test]
    async fn the_outputs_of_the_last_build_are_no_part_of_the_next_source() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join("sub/reprove-out")).unwrap();
        fs::create_dir_all(project.join("reprove-out/outputs")).unwrap();
        for name in ["a.c", "reprove-out/record.json", "sub/reprove-out/record.json"] {
            fs::write(project.join(name), "").unwrap();
        }
        let all = ["a.c", "sub", "sub/reprove-out", "sub/reprove-out/record.json"];
        assert_eq!(locked(&project, ".", &store).await, all);
        git(&project, &["init", "-q"]);
        assert_eq!(locked(&project, ".", &store).await, all);
        fs::remove_dir_all(project.join("reprove-out")).unwrap();
        fs::write(project.join("reprove-out"), "a file is no directory of outputs").unwrap();
        assert!(locked(&project, ".", &store).await.contains(&"reprove-out".to_owned()));
    }

    #[tokio::test]
    async fn a_directory_that_the_next_source_would_have_is_told_from_one_that_it_would_not() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        for folder in ["reprove-out/deep", "sub/reprove-out", "target/out", "tracked"] {
            fs::create_dir_all(project.join(folder)).unwrap();
        }
        fs::create_dir(dir.path().join("outside")).unwrap();
        std::os::unix::fs::symlink(&project, dir.path().join("link")).unwrap();
        let takes = async |folder: &str| would_take(&recipe("."), &project, &dir.path().join(folder)).await.unwrap();
        let inside = ["project", "project/sub/reprove-out", "project/tracked", "link/sub"];
        let outside = ["outside", "project/reprove-out", "project/reprove-out/deep", "link/reprove-out"];
        for in_git in [false, true] {
            if in_git {
                git(&project, &["init", "-q"]);
                fs::write(project.join(".gitignore"), "target/\n/tracked/record.json\n").unwrap();
            }
            for folder in inside {
                assert!(takes(folder).await, "{folder} {in_git}");
            }
            for folder in outside {
                assert!(!takes(folder).await, "{folder} {in_git}");
            }
            for folder in ["project/target", "project/target/out"] {
                assert_eq!(takes(folder).await, !in_git, "{folder} {in_git}");
            }
        }
        assert!(!would_take(&recipe("sub"), &project, &project.join("target")).await.unwrap());
        assert!(would_take(&recipe("."), &project, &project.join("missing")).await.is_err());
    }

    #[tokio::test]
    async fn a_missing_directory_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let error = lock(recipe("nowhere"), dir.path(), &store, environment()).await.unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
