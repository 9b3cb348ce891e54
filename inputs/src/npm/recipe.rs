// SPDX-License-Identifier: Apache-2.0
//! The steps that pack an unpacked tarball again, without a network. Nothing in it is run.

use std::collections::BTreeMap;

use reprove_model::{
    Build, Dependencies, Environment, EpochRule, InputName, Limits, Outputs, Package, PackageUrl, Recipe, Source,
};

use super::form::{Form, FormError, Owner};
use super::packer::{Packer, Tools, lost_modes};

/// Where the tarball is, below the source; made when it is finished.
const OUTPUTS: &str = ".reprove-dist";

/// The recipe, and whether bytes of what was published are written into what is packed.
pub(crate) struct Packing {
    pub(crate) recipe: Recipe,
    pub(crate) takes_bytes: bool,
}

/// What is to be packed again.
pub(crate) struct Published<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) purl: PackageUrl,
    pub(crate) file: &'a InputName,
    pub(crate) form: &'a Form,
}

/// The recipe that packs `published` with `tools`, whose files are called `node` and `packer`.
pub(crate) fn packing(
    published: Published<'_>,
    tools: Tools,
    node: &InputName,
    packer: &InputName,
) -> Result<Packing, FormError> {
    let Published { name, version, purl, file, form } = published;
    let owner = match form.owner {
        Owner::Numbers(user, group) if tools.packer == Packer::OldNpm => Some((user, group)),
        _ => None,
    };
    let system = (form.system != tools.packer.system()).then_some(form.system);
    let steps = [
        Some(unpack_step(node, packer)),
        modes_step(form)?,
        owner.map(owner_step),
        Some(pack_step(tools.packer, owner.is_some())),
        system.map(system_step),
        Some(format!("mkdir {OUTPUTS}\nmv ../packed/*.tgz {OUTPUTS}/{file}\nchmod 644 {OUTPUTS}/{file}")),
    ];
    let recipe = Recipe {
        package: Package {
            name: name.replace(['@', '/'], "-").trim_start_matches('-').to_owned(),
            version: Some(version.to_owned()),
        },
        source: Source::Package(purl),
        environment: Environment::HostUsr,
        build: Build {
            steps: steps.into_iter().flatten().collect(),
            env: variables(tools.packer),
            program: Vec::new(),
            source_date_epoch: EpochRule::Unset,
            deterministic: false,
            loopback: false,
        },
        outputs: Outputs { directory: Some(OUTPUTS.into()), paths: vec![], set_id: false, nar: None },
        limits: Limits::default(),
        pinned: BTreeMap::new(),
        dependencies: Dependencies::default(),
    };
    Ok(Packing { recipe, takes_bytes: system.is_some() || owner.is_some() })
}

/// What keeps a package manager from running scripts of the package, from looking for another version of itself, and from
/// asking a network.
fn variables(packer: Packer) -> BTreeMap<String, String> {
    let variables: &[(&str, &str)] = match packer {
        Packer::Npm | Packer::OldNpm => &[
            ("npm_config_ignore_scripts", "true"),
            ("npm_config_offline", "true"),
            ("npm_config_update_notifier", "false"),
        ],
        Packer::Pnpm => &[
            // A `.pnpmfile.cjs` is code of the package.
            ("npm_config_ignore_pnpmfile", "true"),
            ("npm_config_ignore_scripts", "true"),
            ("npm_config_manage_package_manager_versions", "false"),
            ("npm_config_offline", "true"),
        ],
        Packer::Yarn => &[
            ("CI", "1"),
            ("YARN_ENABLE_NETWORK", "0"),
            ("YARN_ENABLE_SCRIPTS", "0"),
            ("YARN_ENABLE_TELEMETRY", "0"),
            ("YARN_IGNORE_PATH", "1"),
            // Nor is the package's own `.yarnrc.yml` read, which can name plugins.
            ("YARN_RC_FILENAME", ".reprove-yarnrc.yml"),
        ],
    };
    variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn unpack_step(node: &InputName, packer: &InputName) -> String {
    let tar = "tar --no-same-owner --strip-components=1";
    // Nothing in the source is to be taken for settings of the tool.
    format!(
        "test ! -e .npmrc\nmkdir ../node ../packer ../packed\n{tar} -C ../node -xzf /inputs/{node} package/bin/node\n\
         {tar} -C ../packer -xzf /inputs/{packer}"
    )
}

/// Gives files the permission bits that the tarball has, where unpacking took some away.
fn modes_step(form: &Form) -> Result<Option<String>, FormError> {
    let lost = lost_modes(form)?;
    let line = |(left, mode): (&u16, &u16)| format!("find . -type f -perm {left:o} -exec chmod {mode:o} {{}} +");
    let lines: Vec<String> = lost.iter().map(line).collect();
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

/// Has node say that all files are of the user and the group that the tarball has.
fn owner_step((user, group): (u32, u32)) -> String {
    let script = include_str!("owner.js").lines().filter(|line| !line.starts_with("//")).collect::<Vec<_>>().join("\n");
    let script = script.replace("USER", &user.to_string()).replace("GROUP", &group.to_string());
    format!("cat > ../owner.js <<'END'\n{script}\nEND")
}

fn pack_step(packer: Packer, has_owner: bool) -> String {
    let start = "export PATH=\"${PWD%/*}/node/bin:$PATH\" npm_config_cache=\"${PWD%/*}/cache\"\n";
    let owner = if has_owner { "-r ../owner.js " } else { "" };
    let pack = match packer {
        Packer::Npm => "node ../packer/bin/npm-cli.js pack --pack-destination ../packed".to_owned(),
        Packer::OldNpm => format!("cd ../packed\nnode {owner}../packer/bin/npm-cli.js pack ../source"),
        Packer::Pnpm => "node ../packer/bin/pnpm.cjs pack --pack-destination ../packed".to_owned(),
        Packer::Yarn => "touch yarn.lock\nnode ../packer/bin/yarn.js pack -o ../packed/packed.tgz".to_owned(),
    };
    format!("{start}{pack}")
}

/// Writes on which system it was packed, which node on another one does not say.
fn system_step(system: u8) -> String {
    format!("printf '\\{system:03o}' | dd of=\"$(echo ../packed/*.tgz)\" bs=1 seek=9 conv=notrunc status=none")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::form::{Effort, Times};
    use super::*;

    fn packed(form: &Form, tools: Tools) -> Packing {
        let purl = PackageUrl::npm(Some("@a"), "b", "1.0.0").unwrap();
        let file = "a-b-1.0.0.tgz".parse().unwrap();
        let published = Published { name: "@a/b", version: "1.0.0", purl, file: &file, form };
        packing(published, tools, &"node+1.tgz".parse().unwrap(), &"npm+1.tgz".parse().unwrap()).unwrap()
    }

    fn form(system: u8, owner: Owner) -> Form {
        Form { effort: Effort::Usual, system, times: Times::Own, owner, modes: [0o644].into() }
    }

    const OLD: Tools = Tools { packer: Packer::OldNpm, version: "4.6.1", node: "6.17.1" };

    #[test]
    fn recipes_are_valid_and_say_where_bytes_are_taken_over() {
        for packer in [Packer::Npm, Packer::OldNpm, Packer::Pnpm, Packer::Yarn] {
            let tools = Tools { packer, ..OLD };
            let plain = packed(&form(packer.system(), Owner::None), tools);
            plain.recipe.check().unwrap();
            assert_eq!((plain.takes_bytes, plain.recipe.package.name.as_str()), (false, "a-b"));
            let other = packed(&form(19, Owner::None), tools);
            other.recipe.check().unwrap();
            assert!(
                other.takes_bytes
                    && other.recipe.build.steps.iter().any(|step| step.starts_with("printf '\\023' | dd"))
            );
        }
        let owned = packed(&form(3, Owner::Numbers(501, 20)), OLD);
        assert!(owned.takes_bytes);
        let script = owned.recipe.build.steps.iter().find(|step| step.starts_with("cat > ../owner.js")).unwrap();
        assert!(script.contains("stats.uid = 501; stats.gid = 20;") && !script.contains("USER"), "{script}");
    }

    /// npm 7 to 10 run `prepare` whatever they are told, and are no tools here.
    #[test]
    fn no_tool_runs_scripts_of_a_package() {
        for packer in [Packer::Npm, Packer::OldNpm, Packer::Pnpm] {
            assert_eq!(variables(packer)["npm_config_ignore_scripts"], "true");
        }
        assert_eq!(variables(Packer::Pnpm)["npm_config_ignore_pnpmfile"], "true");
        let yarn = variables(Packer::Yarn);
        assert_eq!(
            (yarn["YARN_ENABLE_SCRIPTS"].as_str(), yarn["YARN_RC_FILENAME"].as_str()),
            ("0", ".reprove-yarnrc.yml")
        );
    }

    #[test]
    fn the_system_is_one_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (source, packed) = (dir.path().join("source"), dir.path().join("packed"));
        for path in [&source, &packed] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(packed.join("a.tgz"), "0123456789abc").unwrap();
        let status = Command::new("/bin/sh").args(["-ec", &system_step(b'X')]).current_dir(&source).status().unwrap();
        assert!(status.success());
        assert_eq!(std::fs::read(packed.join("a.tgz")).unwrap(), b"012345678Xabc");
    }
}
