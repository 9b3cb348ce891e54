# SPDX-License-Identifier: Apache-2.0
"""Whether lint.py finds faults: each is put into a copy of deploy/, and has to be named by the check that it is for."""

import re, shutil, tempfile
from pathlib import Path

import lint

ACTION, GITLAB = "pipelines/github/action.yml", "pipelines/gitlab/reprove.gitlab-ci.yml"
CHECK, AUDIT = "pipelines/tekton/reprove-check.yaml", "pipelines/tekton/reprove-audit.yaml"
FARM, WORKER = "systemd/reprove-farm.service", "systemd/reprove-worker.service"
CHART = "helm/reprove/"
TEMPLATES = CHART + "templates/"

# The check, the file, what stands there, what is put in its place, and a pattern of what is said of it.
FAULTS = [
    (lint.licences, "README.md", "SPDX-License-Identifier", "Licence", "name no licence"),
    (lint.layout, ACTION, "using: composite", "using: composite\n  using: node20", "duplication of key"),
    (lint.layout, CHART + "values.yaml", "  port: 7077", "  port: 7077\n   port: 7078", "syntax error"),
    (lint.layout, CHART + "Chart.yaml", "type: application", "type: application\ntype: library", "duplication of key"),
    (lint.scripts, "test-pipelines", "def main():", "def main(:", "SyntaxError|invalid syntax"),
    (lint.scripts, "test-units", 'exit "$wrong"', 'exit "$wrong', "SC10"),
    (lint.units, FARM, "NoNewPrivileges=yes", "NoNewPrivilege=yes", "Unknown key.* 'NoNewPrivilege'"),
    (lint.units, FARM, "SystemCallFilter=@system-service", "SystemCallFilter=@sytem-service", "[Ss]ytem-service"),
    (lint.units, FARM, "DynamicUser=yes", "User=root", "[Ee]xposure level"),
    (lint.units, FARM, "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\n", "", "[Ee]xposure level"),
    (lint.units, FARM, "at most 1.5", "at most 1.0", "the most is 1.5"),
    (lint.units, WORKER, "OOMPolicy=continue", "OOMPolicy=go-on", "OOM policy"),
    (lint.units, WORKER, "User=reprove-worker", "User=root", "it is root|[Ee]xposure level"),
    (lint.units, WORKER, "Environment=REPROVE_KEY=%t/reprove-worker/worker.pem\n", "Environment=REPROVE_FARM_TOKEN=abc\n", "has to be a credential"),
    (lint.image, "Dockerfile", "FROM ${BASE}", "FROM debian:latest", "is not an argument|DL3007"),
    (lint.image, "Dockerfile", "WORKDIR /src", "WORKDIR src", "DL3000"),
    (lint.image, "Dockerfile", '"${packages[@]}"', "${packages[@]}", "SC2068"),
    (lint.image, "Dockerfile", "USER 10001:10001\n", "", "the last user|DL3002"),
    (lint.image, "Dockerfile", "--locked ", "", "what is not in its lock"),
    (lint.image, "Dockerfile.dockerignore", "**/*.pem\n", "", "would be in the image's source"),
    (lint.chart, CHART + "Chart.yaml", "version: 0.1.0\napp", "version: one\napp", "version"),
    (lint.chart, CHART + "values.schema.json", '"type": "object"', '"type": "objekt"', "objekt"),
    (lint.chart, CHART + "values.schema.json", '"additionalProperties": false', '"additionalProperties": true', "takes what is wrong"),
    (lint.chart, CHART + "values.yaml", "  port: 7077", '  port: "7077"', "got string, want integer"),
    (lint.chart, TEMPLATES + "_names.tpl", 'define "reprove.selector"', 'define "reprove.select"', "reprove.selector"),
    (lint.chart, TEMPLATES + "coordinator.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true", "readOnlyRootFileSystem"),
    (lint.chart, TEMPLATES + "coordinator.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may gain"),
    (lint.chart, TEMPLATES + "coordinator.yaml", "            - name: temporary\n              mountPath: /tmp\n", "", "mounts and volumes"),
    (lint.chart, TEMPLATES + "workers.yaml", "nindent 8 }}\n        app.kubernetes.io/component: worker\n    spec:",
     "nindent 8 }}\n        app.kubernetes.io/component: workers\n    spec:", "does not select its pods"),
    (lint.chart, TEMPLATES + "workers.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "it is root"),
    (lint.chart, TEMPLATES + "workers.yaml", "{{- if $workers.lentIds }}", "{{- if true }}", "other capabilities"),
    (lint.chart, TEMPLATES + "networkpolicy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: Ingress", "policyTypes"),
    (lint.chart, TEMPLATES + "ingress.yaml", "pathType: Prefix", "pathTyp: Prefix", "pathTyp"),
    (lint.chart, TEMPLATES + "service.yaml", "targetPort: https", "targetPort: [https]", "targetPort"),
    (lint.chart, TEMPLATES + "serviceaccount.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"),
    (lint.chart, TEMPLATES + "NOTES.txt", "{{- end }}", "", "NOTES.txt"),
    (lint.github, ACTION, "using: composite", "using: composit", "composit|not valid under any"),
    (lint.github, ACTION, '"$INPUT_REPROVE" "$INPUT_COMMAND"', '${{ inputs.reprove }} "$INPUT_COMMAND"', "template-injection|put into the shell"),
    (lint.github, ACTION, '"${arguments[@]}" ||', '${arguments[@]} ||', "SC2068"),
    (lint.github, ACTION, "      shell: bash\n", "", "not valid under any|shell"),
    (lint.github, ACTION, "        INPUT_REGO: ${{ inputs.rego }}\n", "", "inputs and environment differ"),
    (lint.github, ACTION, 'option --rego "$INPUT_REGO"', ":", "nothing reads"),
    (lint.github, ACTION, "        arguments=()", "        arguments=()\n        curl -O x", "fetches something"),
    (lint.gitlab, GITLAB, "when: always", "when: ever", "ever"),
    (lint.gitlab, GITLAB, ".reprove-check:", "reprove-check:", "would run"),
    (lint.gitlab, GITLAB, '-- "$REPROVE_CI_DIRECTORY"', "-- $REPROVE_CI_DIRECTORY", "SC2086"),
    (lint.gitlab, GITLAB, '    REPROVE_CI_POLICY: ""\n', "", "reads and sets"),
    (lint.tekton, CHECK, "$(params.isolation)", "$(params.isolaton)", "isolaton"),
    (lint.tekton, CHECK, "#!/bin/sh\n        ", "", "hashbang|SC2148|shebang"),
    (lint.tekton, CHECK, '"$PARAM_REPROVE" check', '$(params.reprove) check', "put into the shell"),
    (lint.tekton, AUDIT, "kind: Task", "kind: Tasks", "no Task|invalid"),
    (lint.tekton, AUDIT, '"$PARAM_REPROVE" audit "$@"', '"$PARAM_REPROVE" audit $@', "SC2068"),
    (lint.tekton, AUDIT, "        - name: PARAM_REGO\n          value: $(params.rego)\n", "", "rego|differ"),
]


def self_test(tools):
    here = lint.HERE.parent
    missed, broken = [], set()
    for check, name, old, new, pattern in FAULTS:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "deploy"
            shutil.copytree(here, folder)
            path = folder / name
            text = path.read_text()
            label = f"{name}: {old.splitlines()[0].strip()!r} as {new.strip().splitlines()[0] if new.strip() else ''!r}"
            if old not in text:
                missed.append(f"{label}: it is not there")
                continue
            path.write_text(text.replace(old, new))
            broken.add(name)
            try:
                check(tools, folder)
            except Exception as fault:
                if re.search(pattern, f"{type(fault).__name__} {fault}"):
                    continue
                missed.append(f"{label}: refused, but for this: {fault}")
                continue
            missed.append(f"{label}: nothing was said")
    kept = {str(path.relative_to(here)) for path in lint.files(here)}
    never = {name for name in kept - broken if not name.startswith("lint/") and not name.endswith(".helmignore")}
    missed += [f"{name}: nothing is tried on it" for name in sorted(never - {"README.md"})]
    for what in missed:
        print(f"lint-deploy: self-test: {what}")
    print(f"lint-deploy: self-test: {len(FAULTS) - len(missed)} of {len(FAULTS)} faults in {len(broken)} files were named")
    return 1 if missed else 0
