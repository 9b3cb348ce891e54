// SPDX-License-Identifier: Apache-2.0
//! Statements, signatures, proofs and their audit.
