# SPDX-License-Identifier: Apache-2.0
# Two operators must have got the same bits, and neither of them may be one that is named here.
package reprove

default allow := false

allow if count(deny) == 0

not_asked := {"the publisher"}

operators := {claim.operator |
	some claim in input.claims
	claim.counted
} - not_asked

deny contains msg if {
	count(operators) < 2
	msg := sprintf("%d operators got the same bits, besides the publisher: %s", [count(operators), concat(", ", operators)])
}

deny contains msg if {
	some claim in input.claims
	not claim.reproduced
	msg := sprintf("%s on %s got other bits", [claim.operator, claim.platform])
}
