// SPDX-License-Identifier: Apache-2.0
//! What builds took, sent to whoever collects traces: OTLP over HTTP, set up by the variables that OpenTelemetry names for all
//! programs (OpenTelemetry specification, "OpenTelemetry Protocol Exporter").

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use reprove_farm::traces::{Span, spans};
use reprove_farm::{Coordinator, FarmEvent, Millis, tls, views};
use tokio::sync::broadcast::error::RecvError;

use super::from_tls;
use crate::app::App;
use crate::env_vars;
use crate::error::CommandError;

/// The longest that sending may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What sends traces, where the variables say where to.
pub(super) fn exporter() -> Result<Option<SpanExporter>, CommandError> {
    if !env_vars::is_any_set(&[env_vars::OTLP_ENDPOINT, env_vars::OTLP_TRACES_ENDPOINT]) {
        return Ok(None);
    }
    let tls = tls::asking(None, None).or_else(|_| tls::asking_nobody()).map_err(from_tls)?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(Arc::unwrap_or_clone(tls))
        .https_or_http()
        .enable_http1()
        .build();
    let client = HyperClient::new(connector, PATIENCE, None);
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
    let mut exporter = exporter.map_err(|error| {
        CommandError::bad_usage(format!("traces can't be sent: {error}"))
            .next(format!("look at {} and the variables beside it", env_vars::OTLP_ENDPOINT))
    })?;
    exporter.set_resource(&Resource::builder().with_attribute(KeyValue::new("service.name", service())).build());
    Ok(Some(exporter))
}

/// What the farm is called among others' services.
fn service() -> String {
    env_vars::text(env_vars::OTEL_SERVICE_NAME).unwrap_or_else(|| "reprove-farm".to_owned())
}

/// Sends what each build took, when it has come to an end. What can't be sent is said once, and left out.
pub(super) async fn follow(app: &App, coordinator: &Coordinator, exporter: Option<SpanExporter>) {
    let Some(exporter) = exporter else { return std::future::pending().await };
    let mut events = coordinator.events();
    let mut is_said = false;
    loop {
        let build = match events.recv().await {
            Ok(FarmEvent::Decided(build)) => build,
            Ok(_) => continue,
            Err(RecvError::Lagged(missed)) => {
                app.progress.note(&format!("traces are sent too slowly: {missed} events were left out"));
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let sent = match views::build(coordinator.database(), build).await {
            Ok(view) => {
                let all = spans(&view).into_iter().map(data).collect();
                exporter.export(all).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => is_said = false,
            Err(error) if !is_said => {
                app.progress.note(&format!("the trace of {build} can't be sent: {error}"));
                is_said = true;
            }
            Err(_) => {}
        }
    }
}

fn data(span: Span) -> SpanData {
    let time = |at: Millis| SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    let (trace, id) = (TraceId::from_bytes(span.trace.to_be_bytes()), SpanId::from_bytes(span.id.to_be_bytes()));
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.to_be_bytes())),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: span.name.into(),
        start_time: time(span.start),
        end_time: time(span.end),
        attributes: span.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("reprove-farm")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}
