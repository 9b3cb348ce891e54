// SPDX-License-Identifier: Apache-2.0
//! Evidence of the machines that builds ran in: who makes it here, and how it gets into a proof.

use std::sync::Arc;

use jiff::Timestamp;
use reprove_attest::evidence::emulated::{Contents, EmulatedAmd};
use reprove_attest::evidence::snp::{DirectBoot, Firmware, FirmwareError, Launch, LaunchError, SigningKey};
use reprove_attest::evidence::{
    BuiltIn, Dispatch, Evidence, EvidenceError, NoEmulation, Nonce, ReferenceGuest, Reports, TeeRoot, TeeTrust,
    encoded, judge,
};
use reprove_attest::{AttestError, provenance};
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{BuildRecord, DigestSet, Isolation, Lock, Sha256};
use reprove_runner::vm::{Confidential, MachineEvidence, SecureProcessor, Started, bytes_of};
use thiserror::Error;

/// Machines with an EMULATED secure processor of AMD's kind.
#[derive(Clone, Debug)]
pub struct EmulatedMachines {
    processor: Arc<EmulatedAmd>,
    nonce: Nonce,
}

/// Why there is no evidence that could be given to anybody.
#[derive(Debug, Error)]
pub enum ConfidentialError {
    /// The provenance can't be stated.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// What is bound can't be written.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The firmware can't be measured.
    #[error("the machine's firmware can't be measured: {0}")]
    Firmware(#[from] FirmwareError),
    /// The guest's reports are none.
    #[error("the guest's report at {0} is not hexadecimal")]
    Hexadecimal(&'static str),
    /// It would not be believed by whoever trusts this processor and this guest.
    #[error("the guest's evidence does not hold: {0}")]
    Refused(#[from] EvidenceError),
    /// The processor's root is one of hardware.
    #[error(transparent)]
    Root(#[from] NoEmulation),
    /// There is none.
    #[error("a build in a confidential machine has no evidence")]
    None,
}

/// The processors of these machines: those that QEMU calls EPYC-Genoa.
const SIGNATURE: &str = "EPYC-Genoa";
/// `SEV_FEATURES`: SEV-SNP alone.
const FEATURES: u64 = 1;

impl EmulatedMachines {
    /// Machines with this processor, whose reports have `nonce` in them.
    #[must_use]
    pub fn new(processor: EmulatedAmd, nonce: Nonce) -> Self {
        Self { processor: Arc::new(processor), nonce }
    }

    /// What the runner is told.
    pub(crate) fn confidential(&self) -> Confidential {
        let processor = Arc::new(self.clone());
        Confidential { isolation: Isolation::EmulatedSnp, nonce: self.nonce, processor }
    }

    /// The evidence of one build, judged as anybody would who trusts this processor and this guest.
    ///
    /// # Errors
    /// See [`ConfidentialError`].
    pub(crate) fn evidence(
        &self,
        lock: &Lock,
        record: &BuildRecord,
        epoch: Option<u64>,
        machine: &MachineEvidence,
        now: Timestamp,
    ) -> Result<Evidence, ConfidentialError> {
        let payload = provenance(lock, record, epoch)?.to_payload().map_err(AttestError::from)?;
        let MachineEvidence { started, said } = machine;
        let named = record.machine.as_ref().ok_or(ConfidentialError::None)?;
        let recipe = DigestSet::of(&canonical::to_vec(&lock.recipe)?);
        let dispatch = Dispatch { build: named.job, lock: record.lock, recipe };
        let read = |text, at| bytes_of(text).ok_or(ConfidentialError::Hexadecimal(at));
        let (start, end) = (read(&said.start, "the start")?, read(&said.end, "the end")?);
        let measured = measured(started)?;
        let made = self.processor.endorsements();
        let evidence = Evidence {
            payload: Sha256::of(&payload),
            nonce: self.nonce,
            dispatch,
            report: Reports::SevSnp {
                started: measured.clone(),
                start: encoded(&start),
                end: encoded(&end),
                key: encoded(&made.key),
                intermediate: encoded(&made.intermediate),
                root: encoded(&made.root),
                revoked: Some(encoded(&made.revoked)),
            },
        };
        let command_line = named.command_line();
        let built = BuiltIn {
            provenance: &payload,
            lock: record.lock,
            recipe,
            build: named.job,
            kernel: named.kernel.sha256,
            initrd: named.initrd.sha256,
            command_line: &command_line,
            isolation: record.isolation,
            processors: record.conditions.processors,
        };
        let guest = ReferenceGuest {
            name: "this one".into(),
            firmware: measured.firmware.digest().ok_or(EvidenceError::Firmware)?,
            kernel: named.kernel.sha256,
            initrd: named.initrd.sha256,
        };
        let roots = vec![TeeRoot::emulated(self.processor.fingerprint())?];
        judge(&evidence, &built, &TeeTrust { roots, guests: vec![guest], ..TeeTrust::default() }, now)?;
        Ok(evidence)
    }
}

/// How a machine was started, as evidence has it.
fn measured(started: &Started) -> Result<reprove_attest::evidence::Started, FirmwareError> {
    Ok(reprove_attest::evidence::Started {
        firmware: Firmware::emulated(&started.firmware)?,
        processors: started.processors,
        signature: Launch::signature_of(SIGNATURE).unwrap_or_default(),
        features: FEATURES,
    })
}

impl SecureProcessor for EmulatedMachines {
    fn report(&self, started: &Started, data: &[u8; 64]) -> Result<Vec<u8>, String> {
        let measured = measured(started).map_err(|e| e.to_string())?;
        let kernel = DirectBoot { kernel: started.kernel, initrd: started.initrd, command_line: &started.command_line };
        let launch = Launch {
            firmware: &measured.firmware,
            kernel: Some(kernel),
            processors: measured.processors,
            signature: measured.signature,
            features: measured.features,
        };
        let measurement = launch.digest().map_err(|e: LaunchError| e.to_string())?;
        let contents = Contents {
            report_data: *data,
            measurement: *measurement.as_bytes(),
            report_id: started.run,
            ..Contents::default()
        };
        self.processor.report(&contents, SigningKey::Chip).map_err(|e| e.to_string())
    }
}
