// SPDX-License-Identifier: Apache-2.0
//! One build: what it came to, by whose word, on what evidence, and how to verify that oneself.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use reprove_model::{Finding, Published};

use super::layout::{NoPage, duration, history, page, time};
use super::proofs::{self, Shown};
use super::words;
use crate::access::Role;
use crate::api::{Api, Caller, id, proof_name};
use crate::views::{self, BuildView, JobView};
use crate::{BuildId, Millis};

type Proofs = Vec<Option<Result<Shown, String>>>;

/// So many findings of one rebuilder are shown, and so many single differences of each: the proof has all.
const MOST_FINDINGS: usize = 100;
const MOST_DETAILS: usize = 20;

pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(build): Path<String>,
) -> Result<Response, NoPage> {
    caller.may(Role::Read)?;
    let build: BuildId = id(&build)?;
    let view = views::build(api.coordinator.database(), build).await?;
    let proofs = proofs::of(&api.coordinator, &view).await;
    let now = api.coordinator.clock().now();
    let is_over = view.row.word != "waiting";
    let content = html! {
        p { a href=(history(&view.row.ecosystem, &view.row.package)) { "All builds of " (view.row.package) } }
        div id="verdict" {
            (ladder(&view))
            @if proofs.iter().flatten().flatten().any(|shown| shown.is_of_own_contents) {
                p {
                    strong { "Packed again from its own contents: " }
                    "that shows how it was packed, and nothing of where its contents come from."
                }
            }
            (rebuilders(&view, now))
            (found(&view, &proofs))
            @if is_over { (evidence(&view, &proofs)) (verify(&view, &proofs)) }
        }
        @if !is_over { (live(&view)) }
    };
    Ok(page(&view.row.subject, "", &content))
}

/// The steps from the best that can be said to the worst, and where this build stands.
fn ladder(view: &BuildView) -> Markup {
    let here = words::said(&view.row.word);
    html! {
        h2 { "Verdict" }
        p class="verdict" { (words::badge(&view.row.word)) " " (here.means) "." }
        ol class="ladder" {
            @for said in &words::ALL[..6] {
                @let is_here = said.word == here.word;
                li aria-current=[is_here.then_some("step")] {
                    (words::badge(said.word)) @if is_here { " " strong { "this build" } }
                }
            }
        }
        p {
            "Asked for by " (view.submitter) " on " (time(view.row.submitted))
            @if let Some(finished) = view.row.finished {
                ", finished on " (time(finished)) " after " (duration(view.row.submitted, finished))
            }
            ". " (view.jobs.len()) " rebuilder" @if view.jobs.len() != 1 { "s that differ in their " (distinct(view)) } "."
        }
    }
}

fn distinct(view: &BuildView) -> String {
    view.request.distinct.iter().map(|distinct| distinct.name()).collect::<Vec<_>>().join(" and ")
}

/// Who says what: the matrix of rebuilders.
fn rebuilders(view: &BuildView, now: Millis) -> Markup {
    html! {
        h2 { "Rebuilders" }
        div class="wide" tabindex="0" role="region" aria-label="Rebuilders" {
            table {
                thead {
                    tr { th scope="col" { "No." } th scope="col" { "Says" } th scope="col" { "Worker" } th scope="col" { "Operator" }
                        th scope="col" { "Platform" } th scope="col" { "Built in" } th scope="col" { "Tries" } th scope="col" { "Files" } }
                }
                tbody { @for job in &view.jobs { (rebuilder(job, now)) } }
            }
        }
    }
}

fn rebuilder(job: &JobView, now: Millis) -> Markup {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let word = job.verdict.as_deref().unwrap_or(&job.state);
    html! {
        tr {
            th scope="row" { (job.id.slot) }
            td { (words::badge(word)) }
            td { (text(&job.worker)) }
            td { (text(&job.operator)) }
            td { (text(&job.platform)) }
            td { @match &job.isolation { Some(name) => (words::isolation(name)), None => "-" } }
            td {
                @if job.attempts.is_empty() { "none yet" }
                @else {
                    ol {
                        @for attempt in &job.attempts {
                            li {
                                (attempt.worker) ", " (duration(attempt.leased, attempt.ended.unwrap_or(now))) ": "
                                (attempt.outcome.as_deref().unwrap_or("at work"))
                                @if let Some(class) = &attempt.class { " (" (class) ")" }
                                @if let Some(detail) = &attempt.detail { ": " (detail) }
                            }
                        }
                    }
                }
            }
            td {
                @if job.proof.is_some() {
                    a href=(format!("/api/v1/jobs/{}/proof", job.id)) { "proof" span class="hidden" { " of rebuilder " (job.id.slot) } } " "
                    a href=(format!("/api/v1/jobs/{}/report", job.id)) { "report" span class="hidden" { " of rebuilder " (job.id.slot) } } " "
                }
                @if job.log.is_some() {
                    a href=(format!("/api/v1/jobs/{}/log", job.id)) { "log" span class="hidden" { " of rebuilder " (job.id.slot) } }
                }
            }
        }
    }
}

/// What differs, by what caused it.
fn found(view: &BuildView, proofs: &Proofs) -> Markup {
    html! {
        @for (job, shown) in view.jobs.iter().zip(proofs) {
            @if let Some(shown) = shown {
                @match shown {
                    Err(why) => { h2 { "The proof of rebuilder " (job.id.slot) " does not verify" } p { (why) } },
                    Ok(shown) => {
                        @if !shown.failures.is_empty() {
                            h2 { "How building failed for rebuilder " (job.id.slot) }
                            ul { @for failure in &shown.failures { li { (failure) } } }
                        }
                        @if !shown.findings.is_empty() {
                            h2 { "What rebuilder " (job.id.slot) " found" }
                            @if !shown.normalizations.is_empty() { p { "Equal after: " (shown.normalizations.join(", ")) "." } }
                            @for finding in shown.findings.iter().take(MOST_FINDINGS) { (one(finding)) }
                            @if shown.findings.len() > MOST_FINDINGS { p { (shown.findings.len() - MOST_FINDINGS) " more are in the proof." } }
                        }
                    },
                }
            }
        }
    }
}

fn one(finding: &Finding) -> Markup {
    let causes = crate::causes(finding).join(", ");
    html! {
        details class="finding" {
            summary { strong { (finding.kind.name()) } " in " code { (finding.place) } ": " (finding.summary) }
            p { @if finding.causes.is_empty() { "No cause was shown." } @else { "Caused by " strong { (causes) } ", which a build has shown." } }
            @for proposal in &finding.proposed { p { "It may be " (proposal.variation.word()) ": " (proposal.why) } }
            @if !finding.details.is_empty() {
                div class="wide" tabindex="0" role="region" aria-label="Single differences" {
                    table {
                        thead { tr { th scope="col" { "Where" } th scope="col" { "Left" } th scope="col" { "Right" } } }
                        tbody {
                            @for detail in finding.details.iter().take(MOST_DETAILS) {
                                tr { th scope="row" { (detail.at) } td { code { (detail.left) } } td { code { (detail.right) } } }
                            }
                        }
                    }
                }
                @if finding.count > MOST_DETAILS as u64 { p { (finding.count) " single differences in all." } }
            }
        }
    }
}

/// From the request to what anybody can verify, step by step.
fn evidence(view: &BuildView, proofs: &Proofs) -> Markup {
    html! {
        h2 { "Evidence" }
        @for (job, shown) in view.jobs.iter().zip(proofs) {
            @if let (Some(digest), Some(Ok(shown))) = (&job.proof, shown) {
                h3 { "Rebuilder " (job.id.slot) }
                ol class="chain" {
                    li { "Somebody asked for " code { (view.row.subject) } "." }
                    @if let Some(published) = &shown.published {
                        li { "The worker fetched " code { (published.name.to_string()) } ", SHA-256 " code { (published.digest.sha256.to_string()) } "." }
                        @if !published.derived.is_empty() {
                            li { "Taken from that file itself, so that the rebuild shows nothing of it: " (derived(published)) "." }
                        }
                    }
                    @if let Some(source) = &shown.project {
                        li { "The source was sent, and has the BLAKE3 digest " code { (source) } ". Nothing was published: the rebuilds are compared with each other." }
                    }
                    li {
                        "It built it " (times(shown.builds)) " in "
                        @match &job.isolation { Some(name) => (words::isolation(name)), None => "an isolation that is not known" }
                        @if !shown.failures.is_empty() { ", which did not all end well" }
                        ", and stated what it saw."
                    }
                    li {
                        "It signed that with the key " code { (job.keyid.as_deref().unwrap_or("-")) } ", which was verified: the proof has the BLAKE3 digest "
                        code { (digest) } "."
                    }
                    @if let Some(place) = job.place { li { "Its report is entry " (place) " of this farm's log." } }
                    @if let Some((long, without)) = &shown.trust {
                        li { "That holds as long as " (long) ". It does not need " (without) "." }
                    }
                }
            }
        }
    }
}

fn times(builds: usize) -> String {
    match builds {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// What of a rebuild was taken from what was published.
fn derived(published: &Published) -> String {
    published.derived.iter().map(|derived| derived.said()).collect::<Vec<_>>().join(", ")
}

/// How to come to the same without believing anything here.
fn verify(view: &BuildView, proofs: &Proofs) -> Markup {
    let published = proofs.iter().flatten().flatten().find_map(|shown| shown.published.as_ref());
    let is_project = proofs.iter().flatten().flatten().any(|shown| shown.project.is_some());
    let file = published.map_or_else(
        || if is_project { "OUTPUT" } else { "ARTIFACT" }.to_owned(),
        |published| published.name.to_string(),
    );
    let proof = proof_name(view);
    let workers: Vec<&str> =
        view.jobs.iter().filter(|job| job.proof.is_some()).filter_map(|job| job.worker.as_deref()).collect();
    html! {
        @if !workers.is_empty() {
            h2 { "Verify it yourself" }
            p { a class="button" href=(format!("/api/v1/builds/{}/proof", view.row.id)) download=(proof) { "Download the proof" } }
            p {
                @if is_project { "Have a file that it is built to, " code { (file) } ", or leave that out" }
                @else { "Get " code { (file) } " from where you trust" }
                ", and get the public key of a rebuilder from its operator (this farm has them as "
                @for worker in &workers { a href=(format!("/workers/{worker}/key.pem")) { (worker) ".pem" } " " }
                "), and run, on any machine, without a network:"
            }
            pre tabindex="0" {
                @if workers.len() == 1 { code { "reprove audit " (proof) " " (file) " --key " (workers.join("")) ".pem" } }
                @else { code { "reprove audit " (proof) " " (file) " --trust trust.toml --policy policy.toml" } }
            }
        }
    }
}

/// What workers say now. Without scripts, the page is loaded again to see more.
fn live(view: &BuildView) -> Markup {
    html! {
        h2 { "Live" }
        p { "The lines that workers say while they work; this page shows the verdict when it is there." }
        ol id="live" class="live" tabindex="0" aria-label="What workers say" hx-ext="sse" sse-connect=(format!("/builds/{}/events", view.row.id)) sse-swap="line" hx-swap="beforeend" sse-close="finished" {}
        div hx-ext="sse" sse-connect=(format!("/builds/{}/events?only=finished", view.row.id)) sse-close="finished" {
            div hx-get=(format!("/builds/{}", view.row.id)) hx-trigger="sse:finished" hx-select="#verdict" hx-target="#verdict" hx-swap="outerHTML" {}
        }
        noscript { p { a href=(format!("/builds/{}", view.row.id)) { "Load this page again" } " to see what is new." } }
    }
}
