// SPDX-License-Identifier: Apache-2.0
//! Package URLs and recipes to locked inputs.
