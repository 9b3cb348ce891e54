# SPDX-License-Identifier: Apache-2.0
# Most of the language, each rule with a message of its own.
package reprove

import rego.v1

import input.claims as said

default allow := false

allow if {
	count(said) > 0
	not refused
}

refused if some _ in deny

walls("full") := 3

walls("strong") := 2

walls("basic") := 1

default walls(_) := 0

weight(claim) := weight if {
	claim.counted
	weight := walls(claim.isolationLevel) * 10
} else := weight if {
	claim.reproduced
	weight := walls(claim.isolationLevel)
} else := 0

total := sum([weight(claim) | some claim in said])

by_operator[operator] contains claim.keyid if {
	some claim in said
	operator := lower(claim.operator)
}

deny contains sprintf("the walls weigh %d", [total]) if total < 10

deny contains msg if {
	some operator, keys in by_operator
	count(keys) != 1
	msg := sprintf("%s has %d keys: %v", [upper(operator), count(keys), keys])
}

# Every digest, wherever it is.
digests contains value if {
	walk(input, [path, value])
	path[count(path) - 1] == "sha256"
}

deny contains "there are few digests" if count(digests) < 5

deny contains msg if {
	some index, claim in said
	every reason in claim.reasons {
		startswith(reason, "too-")
	}
	count(claim.reasons) > 0
	msg := concat(": ", [format_int(index, 10), concat(" ", sort(claim.reasons))])
}

deny contains "nobody is somebody" if {
	refuses_nobody with input as {"claims": [{"operator": "nobody"}]}
	not refuses_nobody
	count(said) > 1
}

refuses_nobody if input.claims[_].operator == "nobody"

deny contains msg if {
	names := {name | name := input.artifacts[_].name} | {"none"}
	tags := {split(name, "/")[0]: true | some name in names}
	object.get(tags, "none", false)
	json.unmarshal(json.marshal({"b": 1, "a": [true, null]})).a[0]
	count(tags) < 2
	msg := trim_space(replace(" no artifact: TAGS ", "TAGS", concat(",", object.keys(tags))))
}
