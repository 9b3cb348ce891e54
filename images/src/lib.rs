// SPDX-License-Identifier: Apache-2.0
//! Root filesystems for builds.
