// SPDX-License-Identifier: Apache-2.0
//! How much one caller may ask for, and what every answer says to browsers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::caller::Peer;
use super::{Api, Problem};
use crate::Millis;

/// How many requests each caller has made: a bucket for each address, which fills evenly (a token bucket).
pub struct Rates {
    per_minute: u32,
    buckets: Mutex<BTreeMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Thousandths of a request that may still be made.
    left: u64,
    at: Millis,
}

/// So many addresses are remembered; then those are forgotten whose buckets are full again.
const MOST_ADDRESSES: usize = 10_000;

impl Rates {
    /// So many a minute, and a tenth of a minute's at once.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::default() }
    }

    /// Whether one more may be made now.
    #[must_use]
    pub fn allows(&self, address: IpAddr, now: Millis) -> bool {
        let full = u64::from(self.per_minute).max(10) * 100;
        let refilled = |bucket: &Bucket| {
            let since = u64::try_from(now.since(bucket.at).as_millis()).unwrap_or(u64::MAX);
            // A minute has 60,000 milliseconds, and a request a thousand thousandths.
            let more = since.saturating_mul(u64::from(self.per_minute)) / 60;
            bucket.left.saturating_add(more).min(full)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| refilled(bucket) < full);
            if buckets.len() >= MOST_ADDRESSES {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { left: full, at: now });
        let left = refilled(bucket);
        let allowed = left >= 1000;
        *bucket = Bucket { left: if allowed { left - 1000 } else { left }, at: now };
        allowed
    }
}

/// The longest that a request may take until its answer begins, its body included.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(300);

/// What every answer says: nothing but what is served here is run or shown, and nothing is guessed.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses what is too much, and sets the headers of every answer.
pub(super) async fn bounded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = request.extensions().get::<Peer>().map_or(unknown, |peer| peer.address);
    let (method, path, began) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let mut response = if api.rates.allows(address, api.coordinator.clock().now()) {
        match tokio::time::timeout(LONGEST, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(408, "it took longer than five minutes").into_response(),
        }
    } else {
        let mut response = Problem::new(429, "too many requests: wait a moment").into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    };
    let (status, ms) = (response.status().as_u16(), u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    tracing::info!(event = "answered", %method, path, status, ms, %address);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(n: u16) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 + u32::from(n)))
    }

    #[test]
    fn each_caller_has_as_many_as_were_said_and_no_more() {
        let (rates, now) = (Rates::new(600), Millis(1_000_000));
        let allowed = |address, now| (0..1000).filter(|_| rates.allows(address, now)).count();
        assert_eq!(allowed(address(1), now), 60);
        assert_eq!(allowed(address(2), now), 60);
        assert_eq!(allowed(address(1), now), 0);
        // Ten each second.
        assert_eq!(allowed(address(1), now + Duration::from_millis(99)), 0);
        assert_eq!(allowed(address(1), now + Duration::from_millis(199)), 1);
        assert_eq!(allowed(address(1), now + Duration::from_secs(2)), 19);
        assert_eq!(allowed(address(1), now + Duration::from_secs(3600)), 60);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_were_said() {
        let (rates, now) = (Rates::new(600), Millis(1_000_000));
        let most = u16::try_from(MOST_ADDRESSES).unwrap();
        assert!((0..most).all(|n| rates.allows(address(n), now)));
        assert!(!rates.allows(address(most), now));
        assert!(rates.allows(address(most), now + Duration::from_secs(1)));
    }
}
