# SPDX-License-Identifier: Apache-2.0
# Functions on texts, numbers and times.
package reprove

default allow := false

allow if count(deny) == 0

since := time.parse_rfc3339_ns("2026-01-01T00:00:00Z")

deny contains "the rebuild is of another time" if {
	some claim in input.claims
	time.parse_rfc3339_ns(claim.comparedOn) < since
}

deny contains "the audit is before the rebuild" if {
	some claim in input.claims
	time.parse_rfc3339_ns(input.time) < time.parse_rfc3339_ns(claim.comparedOn)
}

deny contains msg if {
	some claim in input.claims
	tool := claim.statements.comparison.predicate.tool
	semver.compare(tool.version, "0.1.0") < 0
	msg := sprintf("%s is old", [tool.name])
}

deny contains msg if {
	some claim in input.claims
	some subject in claim.statements.comparison.subject
	not regex.match(`^[\w./-]+$`, subject.name)
	msg := sprintf("a subject is called %q", [subject.name])
}

deny contains msg if {
	some claim in input.claims
	some provenance in claim.statements.provenances
	builder := provenance.predicate.runDetails.builder.id
	not glob.match("https://reprove.dev/builder/*/v0.1", ["/"], builder)
	msg := sprintf("an unknown builder: %v", [builder])
}

days := [floor((claim.ageSeconds / 86400) + 0.5) | some claim in input.claims]

deny contains msg if {
	max(days) - min(days) > 1
	msg := sprintf("the rebuilds are %v days old: %v", [max(days) - min(days), sort(days)])
}

deny contains msg if {
	max(days) % 7 == 3
	msg := sprintf("%.2f of a week", [abs(max(days)) / 4])
}
