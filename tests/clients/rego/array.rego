# SPDX-License-Identifier: Apache-2.0
# In JSON, a set is an array, and so an array is taken as well.
package reprove

default allow := true

deny := [msg |
	some claim in input.claims
	not claim.counted
	msg := concat(" ", ["not counted:", claim.keyid])
]
