# SPDX-License-Identifier: Apache-2.0
# One text is no set of messages.
package reprove

allow := true

deny := "nobody" if count(input.claims) == 0
