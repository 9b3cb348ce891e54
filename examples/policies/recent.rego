# SPDX-License-Identifier: Apache-2.0
# A counted rebuild is not older than thirty days, or not older than the day on which the compiler was mended; and whoever
# rebuilds without full walls is accompanied by somebody who has them.
package reprove

default allow := false

day := 24 * 60 * 60

mended := time.parse_rfc3339_ns("2026-10-01T00:00:00Z")

recent(claim) if claim.ageSeconds <= 30 * day

recent(claim) if time.parse_rfc3339_ns(claim.comparedOn) >= mended

counted := [claim | some claim in input.claims; claim.counted]

allow if {
	count(counted) > 0
	every claim in counted {
		recent(claim)
	}
	some claim in counted
	claim.isolationLevel == "full"
}
