// SPDX-License-Identifier: Apache-2.0
//! One job, the whole way, in order.
