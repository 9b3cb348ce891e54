// SPDX-License-Identifier: Apache-2.0
//! How jobs and builds come to an end, in the database.

use reprove_attest::RebuildVerdict;
use reprove_model::Digest;
use rusqlite::{Connection, params};

use super::FarmError;
use super::judge::{Judged, agreed};
use crate::{Failure, Millis, Name, Outcome, VerifiedReport};

/// A verdict that counts.
pub(super) struct Decision {
    pub(super) job: i64,
    pub(super) epoch: u32,
    pub(super) envelope: Vec<u8>,
    pub(super) report: VerifiedReport,
    pub(super) judged: Judged,
    pub(super) now: Millis,
}

/// What else came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// Whether no job of the build is left.
    pub(super) whole_build: bool,
    /// Whether it was so before.
    pub(super) already: bool,
}

/// Writes a decision down. There is one for each job: a second one is an error of the database itself.
pub(super) fn decide(connection: &Connection, decision: &Decision) -> Result<Finished, FarmError> {
    const REPORT: &str =
        "INSERT INTO report (job, epoch, envelope, digest, published, own_contents, proof, log, received)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    const JOB: &str =
        "UPDATE job SET state = 'decided', verdict = ?2, finished = ?3 WHERE number = ?1 AND state = 'waiting'";
    let Decision { job, epoch, envelope, report, judged, now } = decision;
    // The same was brought twice at once.
    if is_decided_by(connection, *job, &report.digest().blake3.to_string())? {
        return Ok(Finished { whole_build: false, already: true });
    }
    let (proof, log) = match &report.report().outcome {
        Outcome::Verdict { proof, log, .. } => (Some(proof.blake3.to_string()), log.map(|log| log.blake3.to_string())),
        Outcome::Failure(_) => (None, None),
    };
    connection.prepare_cached(REPORT)?.execute(params![
        job,
        epoch,
        envelope,
        report.digest().blake3.to_string(),
        judged.published.blake3.to_string(),
        judged.is_of_own_contents,
        proof,
        log,
        now.0,
    ])?;
    if connection.prepare_cached(JOB)?.execute(params![job, judged.verdict.name(), now.0])? != 1 {
        return Err(super::Refusal::Finished.into());
    }
    end_attempt(connection, (*job, *epoch, &report.report().worker), "decided", None, *now)?;
    for cause in &judged.causes {
        let sql = "INSERT INTO cause (build, cause) SELECT build, ?2 FROM job WHERE number = ?1 ON CONFLICT DO NOTHING";
        connection.prepare_cached(sql)?.execute(params![job, cause])?;
    }
    end_build(connection, *job, *now)
}

/// Whether a job was decided by the report of this digest.
pub(super) fn is_decided_by(connection: &Connection, job: i64, digest: &str) -> Result<bool, FarmError> {
    let mut sql = connection.prepare_cached("SELECT 1 FROM report WHERE job = ?1 AND digest = ?2")?;
    Ok(sql.exists(params![job, digest])?)
}

/// Writes down that a job came to no verdict this time; says whether that was not written down before.
pub(super) fn failed(
    connection: &Connection,
    (job, epoch, worker): (i64, u32, &Name),
    failure: &Failure,
    now: Millis,
) -> Result<bool, FarmError> {
    let outcome = if failure.class.counts() { "failed" } else { "given-back" };
    let why = Some((failure.class.name(), failure.detail.as_str()));
    let is_new = end_attempt(connection, (job, epoch, worker), outcome, why, now)?;
    if is_new && failure.class.counts() {
        connection.prepare_cached("UPDATE job SET failures = failures + 1 WHERE number = ?1")?.execute([job])?;
    }
    Ok(is_new)
}

/// Writes down that a job is not tried any more.
pub(super) fn give_up(connection: &Connection, job: i64, now: Millis) -> Result<Finished, FarmError> {
    const JOB: &str = "UPDATE job SET state = 'failed', finished = ?2 WHERE number = ?1 AND state = 'waiting'";
    connection.prepare_cached(JOB)?.execute(params![job, now.0])?;
    end_build(connection, job, now)
}

/// Writes down that a report was refused; gives how many of the worker's were, since it was last admitted.
pub(super) fn refused(
    connection: &Connection,
    of: Option<(i64, u32)>,
    worker: &Name,
    why: &str,
    now: Millis,
) -> Result<u32, FarmError> {
    const COUNT: &str = "UPDATE worker SET refused = refused + 1 WHERE name = ?1 RETURNING refused";
    if let Some((job, epoch)) = of {
        end_attempt(connection, (job, epoch, worker), "refused", Some(("refused", why)), now)?;
    }
    Ok(connection.prepare_cached(COUNT)?.query_row([worker.as_str()], |row| row.get(0))?)
}

/// Ends a worker's attempt that has not ended; says whether there was such a one.
fn end_attempt(
    connection: &Connection,
    (job, epoch, worker): (i64, u32, &Name),
    outcome: &str,
    why: Option<(&str, &str)>,
    now: Millis,
) -> Result<bool, FarmError> {
    const SQL: &str = "UPDATE attempt SET ended = ?3, outcome = ?4, class = ?5, detail = ?6
        WHERE job = ?1 AND epoch = ?2 AND worker = ?7 AND ended IS NULL";
    let (class, detail) = why.unzip();
    let row = params![job, epoch, now.0, outcome, class, detail, worker.as_str()];
    Ok(connection.prepare_cached(SQL)?.execute(row)? > 0)
}

/// Ends a job's build, where none of its jobs is left. It has a verdict where all its rebuilders came to one: their word where
/// they agree, and else `disputed`.
fn end_build(connection: &Connection, job: i64, now: Millis) -> Result<Finished, FarmError> {
    const JOBS: &str = "SELECT other.state, other.verdict, report.published, report.own_contents FROM job
        JOIN job AS other ON other.build = job.build LEFT JOIN report ON report.job = other.number
        WHERE job.number = ?1 ORDER BY other.slot";
    const BUILD: &str = "UPDATE build SET state = ?2, verdict = ?3, finished = ?4
        WHERE number = (SELECT build FROM job WHERE number = ?1) AND state = 'waiting'";
    let mut statement = connection.prepare_cached(JOBS)?;
    let mut rows = statement.query([job])?;
    let (mut words, mut all_decided, mut of_own_contents) = (Vec::new(), true, false);
    while let Some(row) = rows.next()? {
        match row.get::<_, String>(0)?.as_str() {
            "waiting" => return Ok(Finished { whole_build: false, already: false }),
            "decided" => {
                words.push((word(&row.get::<_, String>(1)?)?, digest(&row.get::<_, String>(2)?)?));
                of_own_contents |= row.get::<_, bool>(3)?;
            }
            _ => all_decided = false,
        }
    }
    let (state, verdict) = match all_decided {
        true => {
            let word = match agreed(&words) {
                Some(RebuildVerdict::BitIdentical) if of_own_contents => "repacked",
                Some(word) => word.name(),
                None => "disputed",
            };
            ("decided", Some(word))
        }
        false => ("failed", None),
    };
    connection.prepare_cached(BUILD)?.execute(params![job, state, verdict, now.0])?;
    Ok(Finished { whole_build: true, already: false })
}

fn word(text: &str) -> Result<RebuildVerdict, FarmError> {
    Ok(serde_json::from_value(serde_json::Value::String(text.to_owned()))?)
}

fn digest(text: &str) -> Result<Digest, FarmError> {
    text.parse().map_err(|_| FarmError::Damaged(format!("{text:?} is no digest")))
}
