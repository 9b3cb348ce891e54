// SPDX-License-Identifier: Apache-2.0
//! Trees and records to verdicts and findings.
