// SPDX-License-Identifier: Apache-2.0
//! What `rebuild` and `check` share: all that a job needs and all places that it writes to before it, the proof and the
//! verdict after it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reprove_attest::{Audited, Proof, PublicKey, Rebuilder, Signer, VerifiedProof, audit};
use reprove_job::{Context, Event, Finished, JobError};
use reprove_model::{BuildRecord, Outcome, Recipe, Variation};
use reprove_store::Store;
use serde_json::{Value, json};

use crate::app::{App, absolute};
use crate::artifacts::Artifacts;
use crate::commands::{BuildOptions, SearchOptions, VerdictArguments};
use crate::error::{CommandError, NO, YES};
use crate::output::Target;
use crate::{causes, file_systems, keys, machines, output, render};

/// A job that is ready to start.
pub(crate) struct Verdicted {
    pub(crate) store: Store,
    pub(crate) key: Arc<dyn Signer>,
    rebuilder: Rebuilder,
    /// The proof's place as it was given, or as it is by default.
    shown: PathBuf,
    proof: Target,
    artifacts: Option<Artifacts>,
}

impl Verdicted {
    /// Looks whether what the job ends with can be written, opens the store, and loads the key or makes it. The proof's
    /// default name is that of package `name`. `project` is whose source is built, and where it lies, where it is on this
    /// machine.
    pub(crate) async fn prepare(
        app: &App,
        arguments: VerdictArguments,
        name: &str,
        version: Option<&str>,
        project: Option<(&Recipe, &Path)>,
    ) -> Result<Self, CommandError> {
        let rebuilder = arguments.rebuilder.rebuilder()?;
        let shown = arguments.output.unwrap_or_else(|| proof_name(name, version).into());
        // First, as the proof may go into this directory too.
        let given = arguments.artifacts.as_deref();
        let artifacts = given.map(|path| Artifacts::prepare(&absolute(path)?, "artifacts")).transpose()?;
        if let (Some(artifacts), Some(shown), Some((recipe, folder))) = (&artifacts, given, project) {
            artifacts.keep_out_of_source(recipe, folder, shown, "--artifacts").await?;
        }
        let proof = Target::new(&absolute(&shown)?)?;
        let store = app.store()?;
        let place = keys::place(arguments.rebuilder.key.as_deref())?;
        let (key, made) = keys::load_or_make(&place).await?;
        if made {
            let text = format!("made a key to sign with, {place}; it is a plain local one: not encrypted");
            app.progress.note(&text);
        }
        Ok(Self { store, key, rebuilder, shown, proof, artifacts })
    }

    /// What the job needs.
    pub(crate) async fn context<'a>(
        &self,
        app: &App,
        (options, search): (&BuildOptions, &SearchOptions),
        events: &'a (dyn Fn(Event) + Sync),
    ) -> Result<Context<'a>, CommandError> {
        context(app, self.store.clone(), self.rebuilder.clone(), (options, search), events).await
    }

    /// Writes the proof, also of a failure, and prints the verdict.
    pub(crate) async fn finish(
        self,
        app: &App,
        name: &str,
        finished: Result<Finished, JobError>,
    ) -> Result<u8, CommandError> {
        let Self { store, key, shown, proof, artifacts, .. } = self;
        let mut finished = match finished {
            Ok(finished) => finished,
            Err(JobError::Build(mut failure)) => {
                let signed = failure.proof.take();
                let error = CommandError::from(JobError::Build(failure));
                let Some(bytes) = signed else { return Err(error) };
                write(app, proof, &shown, &*key, bytes).await?;
                let shown = shown.display().to_string();
                return Err(error.fact("proof", shown.clone()).next(format!("that it failed is signed in {shown}")));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(artifacts) = artifacts {
            artifacts.fill(&store, &finished).await?;
        }
        write(app, proof, &shown, &*key, std::mem::take(&mut finished.proof)).await?;
        let keyid = key.public_key().id().to_string();
        if app.global.json {
            let (advice, tried, asked) = causes::json(&finished);
            output::json(&json!({
                "name": name,
                "verdict": finished.verdict,
                "published": finished.lock.published,
                "rebuilds": finished.records.iter().map(rebuild).collect::<Vec<_>>(),
                "isolation": finished.records[0].isolation,
                "proof": shown,
                "keyid": keyid,
                "advice": advice,
                "tried": tried,
                "dated": causes::dated_json(finished.dated.as_ref()),
                "asked": asked,
            }))?;
        } else {
            let verdict = render::verdict(name, &finished.verdict, &finished.asked);
            let tried = format!("{}{}", causes::dated(finished.dated.as_ref()), causes::tried(&finished.mends));
            let facts = render::facts(&finished);
            output::text(&format!(
                "{verdict}{tried}{facts}  {:<18} {}, signed by {keyid}\n",
                "proof",
                shown.display()
            ))?;
        }
        Ok(if finished.verdict.outcome == Outcome::Reproducible { YES } else { NO })
    }
}

/// What a job needs that comes to a verdict.
pub(crate) async fn context<'a>(
    app: &App,
    store: Store,
    rebuilder: Rebuilder,
    (options, search): (&BuildOptions, &SearchOptions),
    events: &'a (dyn Fn(Event) + Sync),
) -> Result<Context<'a>, CommandError> {
    let file_system = search.file_system();
    let search = search.search()?;
    let mut context = app.context(store.clone(), options, events).await?;
    let is_varied = search.variations.as_ref().is_none_or(|named| named.contains(&Variation::Kernel));
    if let Some(guest) = context.guest.as_ref().filter(|_| is_varied && !options.has_evidence()) {
        context.other = machines::other(app, &store, guest).await?;
    }
    context.formatter = file_systems::formatter(&context, file_system)?;
    Ok(Context { rebuilder, search, ..context })
}

/// One rebuild, for programs.
fn rebuild(record: &BuildRecord) -> Value {
    let mut value = json!({
        "outputs": record.outputs.digest(),
        "durationMs": record.duration_ms,
        "peakMemory": record.peak_memory,
        "conditions": record.conditions,
    });
    if let (Some(value), Some(machine)) = (value.as_object_mut(), &record.machine) {
        value.insert("machine".into(), json!(machine));
    }
    value
}

/// Writes the proof, and says what it replaces. What is lost by that is kept beside it.
async fn write(app: &App, proof: Target, shown: &Path, key: &dyn Signer, bytes: Vec<u8>) -> Result<(), CommandError> {
    let old = proof.replaced(Proof::MAX_BYTES);
    let lost = old.as_deref().filter(|old| says_more(old, &bytes, &key.public_key()));
    let mut beside = shown.as_os_str().to_owned();
    beside.push("~");
    if let Some(lost) = lost {
        Target::new(&absolute(Path::new(&beside))?)?.write(lost.to_vec()).await?;
    }
    let kept = lost.map(|_| format!("; that one is {} now", beside.display())).unwrap_or_default();
    proof.write(bytes).await?;
    app.progress.clear();
    if let Some(old) = old {
        let said = said(&old, &key.public_key()).unwrap_or_default();
        app.progress.note(&format!("replaced {}{said}{kept}", shown.display()));
    }
    Ok(())
}

/// Whether a proof of this key says what the new one does not: that something is reproducible, or something of other files.
fn says_more(old: &[u8], new: &[u8], key: &PublicKey) -> bool {
    let read = |bytes| audit(bytes, &[], std::slice::from_ref(key)).ok();
    let Some(Audited::Compared(old)) = read(old) else { return false };
    let is_yes = |verified: &VerifiedProof| verified.verdict().outcome == Outcome::Reproducible;
    let names = |verified: &VerifiedProof| -> Vec<String> {
        verified.subject().iter().map(|subject| subject.name.clone()).collect()
    };
    match read(new) {
        Some(Audited::Compared(new)) => is_yes(&old) && !is_yes(&new) || names(&old) != names(&new),
        _ => is_yes(&old),
    }
}

/// What a proof of this key said. Of one that does not verify, nothing is repeated.
fn said(proof: &[u8], key: &PublicKey) -> Option<String> {
    Some(match audit(proof, &[], std::slice::from_ref(key)).ok()? {
        Audited::Compared(verified) => {
            format!(", which said `{}` on {}", render::word(verified.verdict().outcome), verified.compared_on())
        }
        Audited::Unbuildable(verified) => {
            format!(", which said `unbuildable` on {}", verified.failure().attempted_on)
        }
    })
}

/// A name that holds nothing but a file's name, whatever the package's is.
fn proof_name(name: &str, version: Option<&str>) -> String {
    let version = version.map(|version| format!("-{version}")).unwrap_or_default();
    format!("{name}{version}.proof.json").replace('/', "-")
}
