# SPDX-License-Identifier: Apache-2.0
# What a build was made of, and how: nothing ran but what is known, no input is without a name, and the environment is the
# same for all.
package reprove

default allow := false

allow if {
	count(input.claims) > 0
	count(deny) == 0
}

provenances contains provenance.predicate.buildDefinition if {
	some claim in input.claims
	some provenance in claim.statements.provenances
}

known := {"/bin/sh", "/usr/bin/make"}

deny contains msg if {
	some build in provenances
	some command in build.internalParameters.commands
	not command[0] in known
	msg := sprintf("a build ran %v", [command[0]])
}

deny contains msg if {
	some build in provenances
	some variable, value in build.internalParameters.env
	regex.match(`(?i)(token|secret|password)`, variable)
	msg := sprintf("a build was given %s, of %d characters", [variable, count(value)])
}

deny contains "the builds did not have the same environment" if {
	environments := {dependency.digest.sha256 |
		some build in provenances
		some dependency in build.resolvedDependencies
		object.get(dependency, ["annotations", "type"], "") == "environment"
	}
	count(environments) != 1
}
