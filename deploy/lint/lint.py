# SPDX-License-Identifier: Apache-2.0
"""What scripts/lint-deploy runs, in the environment that it makes.

    lint.py TOOLS FOLDER
    lint.py TOOLS --self-test"""

import os, re, subprocess, sys, tempfile, time
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
# The most that `systemd-analyze security` may say, in tenths. The comments of the units say the same.
EXPOSURE = {"reprove-farm.service": 15, "reprove-worker.service": 66}
PROGRAM = "/usr/local/bin/reprove"
# The oldest that Chart.yaml takes, and the newest that there are schemas of.
KUBERNETES = ["1.30", "1.37"]
# A chart's templates are YAML only once they are rendered.
TEMPLATES = "helm/reprove/templates"
# What YAML is looked at for once it is: names that are there twice, and the like. How it is indented is Helm's matter.
RENDERED = "{extends: default, rules: {indentation: disable, line-length: disable, braces: disable, comments: disable}}"


class Fault(Exception):
    """What is wrong, and where."""


class Tools:
    """The programs that were installed below one folder."""

    def __init__(self, folder):
        self.folder = folder.resolve()

    def run(self, program, *arguments, given=None, what=None, silent=False):
        """Runs one, and returns what it printed. Where it is to be silent, any word of it is a fault."""
        places = [self.folder / "venv/bin" / program, self.folder / "node/node_modules/.bin" / program]
        command = [next((str(place) for place in places if place.exists()), program), *map(str, arguments)]
        # Helm looks for settings of its user's, which no check may depend on.
        environment = os.environ | {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder), "NO_COLOR": "1"}
        ran = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
        said = (ran.stdout + ran.stderr).strip()
        if ran.returncode != 0 or (silent and said):
            raise Fault(f"{what or arguments[-1]}: {program} says:\n{said or 'nothing'}")
        return ran.stdout


def demand(holds, what):
    if not holds:
        raise Fault(what)


def read(path):
    return yaml.safe_load(path.read_text())


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def licences(tools, folder):
    tag = "SPDX-License-Identifier: Apache-2.0"
    for path in files(folder):
        # npm's formats have no comments.
        if path.name in ("package.json", "package-lock.json"):
            continue
        demand(tag in "\n".join(path.read_text().splitlines()[:3]), f"{path}: its first lines name no licence")


def layout(tools, folder):
    paths = [p for p in files(folder) if p.suffix in (".yml", ".yaml") and TEMPLATES not in str(p)]
    tools.run("yamllint", "--strict", "--config-file", HERE / "yamllint.yaml", *paths, what=f"{folder}")


def scripts(tools, folder):
    for path in files(folder):
        first = path.read_text().partition("\n")[0]
        if first.startswith("#!") and "python" in first:
            compile(path.read_text(), str(path), "exec")
        elif first.startswith("#!"):
            tools.run("shellcheck", path)


def units(tools, folder):
    found = {path.name for path in (folder / "systemd").glob("*.service")}
    demand(found == EXPOSURE.keys(), f"{folder}/systemd: there are {sorted(found)}, and scores for {sorted(EXPOSURE)}")
    for name, most in EXPOSURE.items():
        text = (folder / "systemd" / name).read_text()
        demand(PROGRAM in text, f"{name}: it starts no {PROGRAM}")
        with tempfile.TemporaryDirectory() as place:
            # With a program in place of ours, which is not installed here.
            unit = Path(place) / name
            unit.write_text(text.replace(PROGRAM, "/bin/true"))
            tools.run("systemd-analyze", "verify", "--man=no", unit, what=name, silent=True)
            tools.run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", unit, what=name)
        user = re.findall("^(User=.*|DynamicUser=yes)$", text, re.M)
        demand(user and user[0] not in ("User=root", "User=0", "User="), f"{name}: it is root")
        said = re.findall(r"exposure\s+of at most ([0-9.]+)", text.replace("\n#", ""))
        demand(said == [f"{most / 10}"], f"{name}: it says {said} of its exposure, and the most is {most / 10}")
        # A secret is a credential, never in the unit or in what `systemctl show` prints.
        demand(not re.search(r"(?i)^Environment=\S*(token|secret|pass)\S*=", text, re.M),
               f"{name}: what is secret has to be a credential")


def image(tools, folder):
    path = folder / "Dockerfile"
    tools.run("hadolint", "--failure-threshold", "style", path)
    lines = path.read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    demand(all(re.fullmatch(r"\$\{[A-Z]+\}", base) for base in bases), f"{path}: a base is not an argument: {bases}")
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    demand(users and re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", users[-1]), f"{path}: the last user is no number, or root")
    demand("--locked" in path.read_text(), f"{path}: cargo takes what is not in its lock")
    ignored = (folder / "Dockerfile.dockerignore").read_text().splitlines()
    for kind in ["**/*.pem", "**/*.token", ".git"]:
        demand(kind in ignored, f"{folder}/Dockerfile.dockerignore: {kind} would be in the image's source")


def chart(tools, folder):
    place = folder / "helm/reprove"
    tools.run("check-jsonschema", "--check-metaschema", place / "values.schema.json")
    defaults = read(place / "values.yaml")
    version = read(place / "Chart.yaml")["kubeVersion"]
    demand(version == f">={KUBERNETES[0]}.0-0", f"{place}/Chart.yaml: {version} is not what is checked")
    for values in sorted((HERE / "charts").glob("*.yaml")):
        if values.name == "refused.yaml":
            continue
        rendered = render(tools, place, values)
        with tempfile.TemporaryDirectory() as there:
            output = Path(there) / values.name
            output.write_text(rendered)
            tools.run("yamllint", "--strict", "--config-data", RENDERED, output, what=f"{values.name}, rendered")
            for version in KUBERNETES:
                tools.run("kubernetes-validate", "--strict", "--quiet", "-k", version, output, what=f"{values.name}, rendered")
        given = {**defaults, **read(values)}
        for document in yaml.safe_load_all(rendered):
            if document:
                judge(document, given)
    for name, change in read(HERE / "charts/refused.yaml").items():
        with tempfile.TemporaryDirectory() as there:
            over = Path(there) / "over.yaml"
            over.write_text(yaml.safe_dump(change))
            try:
                tools.run("helm", "template", "farm", place, "--values", HERE / "charts/all.yaml", "--values", over)
            except Fault as fault:
                demand("meet the specifications of the schema" in str(fault), f"{place}: {name} is refused, but for this: {fault}")
                continue
        raise Fault(f"{place}/values.schema.json: takes what is wrong: {name}")


def render(tools, place, values):
    tools.run("helm", "lint", "--strict", "--values", values, place, what=place)
    return tools.run("helm", "template", "farm", place, "--namespace", "farm", "--values", values, what=place)


def judge(document, values):
    """What no schema says: what a pod of ours may not have, whatever the values."""
    kind, name = document["kind"], document["metadata"]["name"]
    where = f"helm/reprove, rendered: {kind} {name}"
    demand(kind not in ("Secret", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"), f"{where}: there is to be none")
    if kind == "ServiceAccount":
        demand(document["automountServiceAccountToken"] is False, f"{where}: its token would be mounted")
    if kind not in ("Deployment", "StatefulSet"):
        return
    pod = document["spec"]["template"]["spec"]
    labels = document["spec"]["template"]["metadata"]["labels"]
    demand(document["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"{where}: it does not select its pods")
    demand(pod["automountServiceAccountToken"] is False, f"{where}: a token would be mounted")
    demand(not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), f"{where}: it is in namespaces of the node")
    demand(not any("hostPath" in volume for volume in pod["volumes"]), f"{where}: it has a path of the node")
    demand(pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0, f"{where}: it is root")
    is_worker = labels["app.kubernetes.io/component"] == "worker"
    if not is_worker:
        demand(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{where}: it has no filter of calls")
    for container in [*pod["initContainers"], *pod["containers"]]:
        context = container["securityContext"]
        lends = is_worker and container in pod["containers"] and values["workers"].get("lentIds", True)
        demand(context["readOnlyRootFilesystem"] and not context.get("privileged"), f"{where}: it may write where it should not")
        demand(context["allowPrivilegeEscalation"] is lends, f"{where}: it may gain what it needs not")
        demand(context["capabilities"] == {"drop": ["ALL"], **({"add": ["SETUID", "SETGID"]} if lends else {})},
               f"{where}: it has other capabilities than it needs")
        demand("memory" in container["resources"]["limits"], f"{where}: it has no limit of memory")
        demand(not any("TOKEN" in env["name"] or "PASS" in env["name"] for env in container.get("env", [])),
               f"{where}: a secret is in its environment")
    volumes = {one["name"] for one in pod["volumes"]}
    volumes |= {one["metadata"]["name"] for one in document["spec"].get("volumeClaimTemplates", [])}
    mounted = {one["name"] for container in [*pod["initContainers"], *pod["containers"]] for one in container["volumeMounts"]}
    demand(mounted == volumes, f"{where}: mounts and volumes differ: {mounted ^ volumes}")


def fetches_nothing(path):
    """Pipelines take the program from where they are told, and from nowhere else."""
    code = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    found = re.search(r"https?://|\b(curl|wget|pip install|cargo install|npm (i|install)|apt-get)\b", code)
    demand(not found, f"{path}: it fetches something: {found and found[0]}")


def is_shell(tools, text, dialect, where):
    tools.run("shellcheck", f"--shell={dialect}", "--severity=style", "-", given=text, what=where)


def github(tools, folder):
    path = folder / "pipelines/github/action.yml"
    fetches_nothing(path)
    tools.run("check-jsonschema", "--builtin-schema", "vendor.github-actions", path)
    tools.run("zizmor", "--offline", "--no-progress", "--quiet", "--pedantic", path)
    action = read(path)
    for step in action["runs"]["steps"]:
        script = step["run"]
        demand("${{" not in script, f"{path}: an expression is put into the shell's text")
        is_shell(tools, script, "bash", path)
        taken = set(re.findall(r"inputs\.([a-z-]+)", " ".join(step["env"].values())))
        demand(taken == action["inputs"].keys(), f"{path}: inputs and environment differ: {taken ^ action['inputs'].keys()}")
        unused = [name for name in step["env"] if f"${name}" not in script]
        demand(not unused, f"{path}: nothing reads {unused}")
        unknown = set(re.findall(r"\$\{?(INPUT_[A-Z_]+)", script)) - step["env"].keys()
        demand(not unknown, f"{path}: nothing sets {unknown}")


def gitlab(tools, folder):
    path = folder / "pipelines/gitlab/reprove.gitlab-ci.yml"
    fetches_nothing(path)
    with tempfile.TemporaryDirectory() as there:
        # As jobs that run: the schema takes anything of those that are hidden.
        shown = Path(there) / "shown.yml"
        shown.write_text(yaml.safe_dump({name.lstrip("."): job for name, job in read(path).items()}))
        for one in (path, shown):
            tools.run("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", one, what=path)
    for name, job in read(path).items():
        demand(name.startswith("."), f"{path}: {name} would run wherever this is included")
        demand("image" not in job, f"{path}: {name} names an image")
        for script in job["script"]:
            is_shell(tools, script, "sh", f"{path}: {name}")
            used = set(re.findall(r"\$\{?(REPROVE_CI_[A-Z_]+)", script + str(job.get("artifacts"))))
            demand(used == job["variables"].keys(), f"{path}: {name} reads and sets not the same: {used ^ job['variables'].keys()}")


def tekton(tools, folder):
    paths = sorted((folder / "pipelines/tekton").glob("*.yaml"))
    demand(len(paths) == 2, f"{folder}/pipelines/tekton: there are two tasks")
    tools.run("tekton-lint", "--max-warnings", "0", *paths, what=f"{folder}/pipelines/tekton")
    for path in paths:
        fetches_nothing(path)
        task = read(path)
        demand((task["apiVersion"], task["kind"]) == ("tekton.dev/v1", "Task"), f"{path}: it is no Task")
        demand(task["metadata"]["name"] == path.stem, f"{path}: it has another name than its file")
        text = path.read_text()
        for kind, given in [("params", task["spec"]["params"]), ("results", task["spec"]["results"])]:
            used = set(re.findall(rf"\$\({kind}\.([a-z-]+)", text))
            names = {one["name"] for one in given}
            demand(used == names, f"{path}: {kind} that are used and declared differ: {used ^ names}")
        for step in task["spec"]["steps"]:
            demand(step["image"] == "$(params.image)", f"{path}: it names an image")
            inside = re.search(r"\$\((params|workspaces|results|steps|tasks|context)\b", step["script"])
            demand(not inside, f"{path}: something is put into the shell's text")
            is_shell(tools, step["script"], "sh", path)
            unset = {e["name"] for e in step["env"]} ^ set(re.findall(r"\$\{?((?:PARAM|KEY|TRUST|OUTCOME)\w*)", step["script"]))
            demand(not unset, f"{path}: environment and script differ: {unset}")


CHECKS = [licences, layout, scripts, units, image, chart, github, gitlab, tekton]


def main():
    tools = Tools(Path(sys.argv[1]))
    if sys.argv[2] == "--self-test":
        from self_test import self_test

        return self_test(tools)
    folder = Path(sys.argv[2]).resolve()
    for check in CHECKS:
        started = time.monotonic()
        try:
            check(tools, folder)
        except Fault as fault:
            print(f"lint-deploy: {check.__name__}: {fault}", file=sys.stderr)
            return 1
        except (OSError, KeyError, TypeError, IndexError, SyntaxError, yaml.YAMLError) as error:
            print(f"lint-deploy: {check.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
        print(f"lint-deploy: {check.__name__}: nothing wrong ({time.monotonic() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    # By its name, so that the self-test has the same classes.
    import lint

    sys.exit(lint.main())
