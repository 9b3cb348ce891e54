// SPDX-License-Identifier: Apache-2.0
//! Languages with a package manager or a compiler of their own.

use serde_json::Value as Json;
use toml::Table;

use super::Top;
use super::kinds::{self, Outputs, Plan, ending};

pub(super) fn rust(top: &Top) -> Plan {
    let manifest = table(top.text("Cargo.toml"));
    let package = manifest.get("package").and_then(toml::Value::as_table);
    let of = |key: &str| package?.get(key)?.as_str().map(str::to_owned);
    let name = of("name").unwrap_or_default();
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let bins = bins.filter_map(|bin| bin.get("name")?.as_str());
    let mut bins: Vec<String> = bins.filter(|bin| is_file(bin)).map(str::to_owned).collect();
    // A package has at least the program that it is called after, but for a library.
    let is_library = manifest.contains_key("lib") || top.has("src/lib.rs");
    if bins.is_empty() && (top.has("src/main.rs") || !is_library) && is_file(&name) {
        bins.push(name.clone());
    }
    let locked = if top.has("Cargo.lock") { " --locked" } else { "" };
    let is_new = is_of_new_cargo(top.text("Cargo.lock"), package);
    let mut plan = Plan {
        name: of("name"),
        version: of("version"),
        packages: vec!["cargo", "rustc"],
        in_bookworm: if is_new { vec!["cargo-web", "rustc-web"] } else { Vec::new() },
        // The directory that it is built in is no part of what is built.
        steps: vec![format!("RUSTFLAGS=\"--remap-path-prefix=$PWD=/build\" cargo build --release --offline{locked}")],
        outputs: Outputs::Paths(bins.iter().map(|bin| format!("target/release/{bin}")).collect()),
        ..Plan::default()
    };
    if bins.is_empty() && package.is_none() {
        plan.outputs = Outputs::Paths(vec!["target/release/program".into()]);
        plan.notes.push(
            "what a workspace makes could not be told: name it in `outputs.paths`, in place of `target/release/program`"
                .into(),
        );
    } else if bins.is_empty() {
        plan.steps = vec!["cargo package --offline --no-verify --allow-dirty".into()];
        plan.outputs = Outputs::Directory("target/package");
        plan.notes.push("a library is packed, not compiled: name a program in `outputs` where there is one".into());
    }
    crates(top, &manifest, &mut plan);
    plan
}

/// Whether it takes a newer cargo than bookworm's own, which is of Rust 1.63: by the lock file's version, the edition, or the
/// Rust that it asks for.
fn is_of_new_cargo(lock: &str, package: Option<&Table>) -> bool {
    let of = |key: &str| package?.get(key)?.as_str();
    let minor = of("rust-version").and_then(|asked| asked.strip_prefix("1.")?.split('.').next()?.parse::<u32>().ok());
    lock.lines().any(|line| line == "version = 4") || of("edition") == Some("2024") || minor > Some(63)
}

/// What it depends on, unless that is in the project.
fn crates(top: &Top, manifest: &Table, plan: &mut Plan) {
    if top.has("vendor/") {
        return;
    }
    let lock = top.text("Cargo.lock");
    let depends =
        |key: &&str| manifest.get(*key).and_then(toml::Value::as_table).is_some_and(|table| !table.is_empty());
    if lock.contains("\nsource = \"git+") {
        let note = "a dependency from a Git repository has no checksum, and a build has no network: cargo vendor, with its lines in .cargo/config.toml";
        plan.notes.push(note.into());
    } else if lock.contains("\nsource = ") || (top.has("Cargo.lock") && lock.is_empty()) {
        plan.dependencies.push(("cargo", "Cargo.lock"));
    } else if !top.has("Cargo.lock") && ["dependencies", "build-dependencies"].iter().any(depends) {
        let note = "it has dependencies, and no lock file: cargo generate-lockfile, then rm reprove.toml and reprove init again";
        plan.notes.push(note.into());
    }
}

pub(super) fn go(top: &Top) -> Plan {
    let module = top.text("go.mod").lines().find_map(|line| line.trim().strip_prefix("module "));
    let name = module.map(|module| module.trim().rsplit('/').next().unwrap_or_default().to_owned());
    let file = name.clone().filter(|name| is_file(name)).unwrap_or_else(|| "program".into());
    let mut plan = Plan {
        name,
        packages: vec!["golang-go"],
        // Neither the directory nor what Git says of it is a part of the program.
        steps: vec![format!("go build -trimpath -buildvcs=false -o out/{file} .")],
        env: vec![("CGO_ENABLED", "0".into()), ("GOFLAGS", "-mod=readonly".into()), ("GOPROXY", "off".into())],
        ..Plan::default()
    };
    if top.has("vendor/") {
        plan.env = vec![("CGO_ENABLED", "0".into()), ("GOFLAGS", "-mod=vendor".into())];
    } else if !top.text("go.sum").trim().is_empty() {
        plan.notes.push("it has dependencies, and a build has no network: go mod vendor".into());
    }
    let asked = top.text("go.mod").lines().find_map(|line| line.trim().strip_prefix("go 1."));
    let asked = asked.and_then(|minor| minor.split('.').next()?.trim().parse::<u32>().ok());
    if asked.is_some_and(|minor| minor > 19) {
        plan.of_bookworm.push("go.mod asks for a Go newer than bookworm's, which is 1.19: --environment trixie".into());
    }
    if ending(top, ".go").is_none() && top.has("cmd/") {
        plan.steps = vec!["mkdir out && go build -trimpath -buildvcs=false -o out ./cmd/...".into()];
    }
    plan
}

pub(super) fn maven(_top: &Top) -> Plan {
    Plan {
        packages: vec![
            "default-jdk-headless",
            "libmaven-compiler-plugin-java",
            "libmaven-jar-plugin-java",
            "libmaven-resources-plugin-java",
            "libsurefire-java",
            "maven",
        ],
        steps: vec![
            // Debian's packages of Java put what they have there, as Maven has it in a repository of its own.
            "test -d m2 || cp -rL /usr/share/maven-repo m2".into(),
            "mvn --batch-mode --offline -Dmaven.repo.local=\"$PWD/m2\" \
             -Dproject.build.outputTimestamp=\"$SOURCE_DATE_EPOCH\" package"
                .into(),
            "mkdir out && cp target/*.jar out".into(),
        ],
        notes: vec![
            "a build has no network: plugins and dependencies are Debian's (libNAME-java, libmaven-NAME-plugin-java), in Debian's versions; or those that mvn dependency:go-offline -Dmaven.repo.local=\"$PWD/m2\" puts into m2".into(),
        ],
        ..Plan::default()
    }
}

pub(super) fn gradle(_top: &Top) -> Plan {
    Plan {
        packages: vec!["default-jdk-headless", "gradle"],
        steps: vec![
            "GRADLE_USER_HOME=\"$PWD/.gradle-home\" gradle --offline --no-daemon assemble".into(),
            "mkdir out && cp build/libs/*.jar out".into(),
        ],
        loopback: true,
        notes: vec![
            "a build has no network, and Debian's Gradle is 4.4.1: plugins are its own, and dependencies those that Debian has in /usr/share/maven-repo".into(),
            "for archives without times, say in build.gradle: tasks.withType(AbstractArchiveTask).configureEach { preserveFileTimestamps = false; reproducibleFileOrder = true }".into(),
        ],
        ..Plan::default()
    }
}

pub(super) fn php(top: &Top) -> Plan {
    let manifest = json(top.text("composer.json"));
    Plan {
        name: word(&manifest, "/name"),
        version: word(&manifest, "/version"),
        packages: vec!["php-cli", "composer"],
        steps: vec![
            "mkdir ../out && composer archive --no-interaction --no-plugins --format=tar --dir=../out --file=archive"
                .into(),
            "mv ../out .".into(),
        ],
        env: vec![("COMPOSER_DISABLE_NETWORK", "1".into())],
        ..Plan::default()
    }
}

pub(super) fn python(top: &Top) -> Plan {
    let manifest = table(top.text("pyproject.toml"));
    let of = |key: &str| manifest.get("project")?.get(key)?.as_str().map(str::to_owned);
    let backend =
        manifest.get("build-system").and_then(|table| table.get("build-backend")?.as_str()).unwrap_or_default();
    let mut parts = backend.split(['.', ':']);
    let back_end = match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
        ("hatchling", _) => Some(vec!["python3-hatchling"]),
        ("flit_core", _) => Some(vec!["flit"]),
        ("poetry", "core") => Some(vec!["python3-poetry-core"]),
        ("pdm", "pep517") => Some(vec!["python3-pdm-pep517"]),
        ("setuptools" | "", _) => Some(vec!["python3-setuptools", "python3-wheel"]),
        _ => None,
    };
    let mut plan = Plan {
        name: of("name"),
        version: of("version"),
        packages: [vec!["python3-build"], back_end.clone().unwrap_or_default()].concat(),
        // Back ends take what is beside the package for another.
        steps: vec!["python3 -m build --wheel --no-isolation --outdir ../out".into(), "mv ../out .".into()],
        ..Plan::default()
    };
    if back_end.is_none() {
        plan.notes.push(format!(
            "which package of Debian's has the back end {backend:?} is not known: add it to `environment.packages`"
        ));
    }
    requirements(top, &mut plan);
    plan
}

/// What it depends on, by the file that pip installs from: beside Debian's own modules, since the back end is one of these.
fn requirements(top: &Top, plan: &mut Plan) {
    const FILE: &str = "requirements.txt";
    let text = top.text(FILE);
    // One that is too long to be read here has hashes.
    if text.contains("--hash=sha256:") || (top.has(FILE) && text.is_empty()) {
        plan.dependencies.push(("pip", FILE));
        plan.packages.push("python3-venv");
        plan.steps.insert(0, "python3 -m venv --system-site-packages ../venv".into());
        plan.steps.insert(1, format!("../venv/bin/pip install --no-compile -r {FILE}"));
        plan.steps.iter_mut().for_each(|step| *step = step.replace("python3 -m build", "../venv/bin/python -m build"));
    } else if top.has(FILE) {
        plan.notes.push(format!(
            "{FILE} has no hashes; where the build needs what it names: pip-compile --generate-hashes, then rm reprove.toml and reprove init again"
        ));
    }
}

pub(super) fn node(top: &Top) -> Plan {
    let manifest = json(top.text("package.json"));
    let mut plan = Plan {
        name: word(&manifest, "/name"),
        version: word(&manifest, "/version"),
        packages: vec!["nodejs", "npm"],
        ..Plan::default()
    };
    let has = |key: &str| manifest.get(key).and_then(Json::as_object).is_some_and(|names| !names.is_empty());
    let has_dependencies = ["dependencies", "devDependencies", "optionalDependencies"].into_iter().any(has);
    let lock = ["npm-shrinkwrap.json", "package-lock.json"].into_iter().find(|name| top.has(name));
    match lock {
        Some(lock) if has_dependencies => {
            plan.dependencies.push(("npm", lock));
            plan.steps.push("npm ci".into());
        }
        _ => {
            plan.env = vec![("npm_config_offline", "true".into()), ("npm_config_update_notifier", "false".into())];
        }
    }
    if has_dependencies && lock.is_none() {
        let note = "it has dependencies, and no package-lock.json: npm install --package-lock-only, then rm reprove.toml and reprove init again";
        plan.notes.push(note.into());
    }
    let build = word(&manifest, "/scripts/build");
    plan.steps.extend(build.as_ref().map(|_| "npm run build".to_owned()));
    // A site is not packed: what Vite makes is all of it.
    if build.is_some_and(|build| build.split_whitespace().any(|word| word == "vite")) {
        plan.outputs = Outputs::Directory("dist");
    } else {
        // What is below would be packed as well.
        plan.steps.push("mkdir ../out && npm pack --ignore-scripts --pack-destination ../out".into());
        plan.steps.push("mv ../out .".into());
    }
    plan
}

pub(super) fn mono(top: &Top) -> Plan {
    let mut plan = Plan {
        packages: vec!["mono-mcs"],
        steps: vec!["mkdir out && mcs -out:out/program.exe *.cs".into()],
        ..Plan::default()
    };
    let Some(project) = top.names.iter().find(|name| kinds::is_csproj(name)) else { return plan };
    let text = top.text(project);
    let is_program = ["<OutputType>Exe", "<OutputType>WinExe"].iter().any(|word| text.contains(word));
    let (target, end) = if is_program { ("exe", "exe") } else { ("library", "dll") };
    plan.name = project.strip_suffix(".csproj").map(str::to_owned);
    plan.steps = vec![
        "find . -name '*.cs' ! -path './obj/*' ! -path './bin/*' | LC_ALL=C sort >sources.rsp".into(),
        format!("mkdir out && mcs -target:{target} -out:out/program.{end} @sources.rsp"),
    ];
    plan.notes.push(
        "Debian has no SDK of .NET: Mono's compiler takes all *.cs below, and of the project only whether it is a program"
            .into(),
    );
    plan
}

pub(super) fn kotlin(_top: &Top) -> Plan {
    Plan {
        packages: vec!["default-jdk-headless", "kotlin", "zip"],
        steps: vec!["kotlinc *.kt -d classes".into(), jar("program.jar")],
        ..Plan::default()
    }
}

pub(super) fn java(_top: &Top) -> Plan {
    Plan {
        packages: vec!["default-jdk-headless", "zip"],
        steps: vec!["javac -d classes *.java".into(), jar("program.jar")],
        ..Plan::default()
    }
}

/// Packs `classes`: by name, with the time of `SOURCE_DATE_EPOCH`, and without what else a file system knows of a file. Java 17's
/// `jar` writes the time of day.
fn jar(name: &str) -> String {
    format!(
        "mkdir out && cd classes && find . -exec touch -d \"@$SOURCE_DATE_EPOCH\" {{}} + && \
         find . -type f | LC_ALL=C sort | TZ=UTC zip -X -@ ../out/{name}"
    )
}

fn is_file(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

fn table(text: &str) -> Table {
    text.parse().unwrap_or_default()
}

/// The text at a place of a document (RFC 6901).
fn word(document: &Json, place: &str) -> Option<String> {
    document.pointer(place)?.as_str().map(str::to_owned)
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}
