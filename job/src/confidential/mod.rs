// SPDX-License-Identifier: Apache-2.0
//! Evidence of the machines that builds ran in: who makes it here, and how it gets into a proof.

mod hardware;
mod snp;
mod tdx;

use std::sync::Arc;

use jiff::Timestamp;
use reprove_attest::evidence::emulated::{EmulatedAmd, EmulationError};
use reprove_attest::evidence::snp::{FirmwareError, LaunchError, ReportError, TableError};
use reprove_attest::evidence::tdx::{EmulatedError, EmulatedTdx, EventLogError, TdxFirmwareError};
use reprove_attest::evidence::{
    BuiltIn, Dispatch, Evidence, EvidenceError, NoEmulation, Nonce, ReferenceGuest, Reports, TeeRoot, TeeTrust, judge,
};
use reprove_attest::{AttestError, provenance};
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{BuildRecord, DigestSet, Isolation, Lock, Sha256};
use reprove_runner::vm::{Confidential, MachineEvidence, SecureProcessor, Speaker, Started, bytes_of};
use thiserror::Error;

pub use hardware::{AmdCertificates, HardwareProcessor};

/// Machines that a secure processor speaks for.
#[derive(Clone, Debug)]
pub struct ConfidentialMachines {
    processor: Processor,
    nonce: Nonce,
}

/// What speaks for machines.
#[derive(Clone, Debug)]
pub enum Processor {
    /// A program of this host's, which proves nothing.
    Emulated(EmulatedProcessor),
    /// The processor that closes them to this host.
    Hardware(HardwareProcessor),
}

/// An EMULATED secure processor.
#[derive(Clone, Debug)]
pub enum EmulatedProcessor {
    /// Of AMD's kind.
    Amd(Arc<EmulatedAmd>),
    /// Of Intel's kind.
    Intel(Arc<EmulatedTdx>),
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
    /// No launch digest follows from how it was started.
    #[error("the machine can't be measured: {0}")]
    Launch(#[from] LaunchError),
    /// The firmware or the kernel can't be measured as TDX does it.
    #[error("the machine can't be measured: {0}")]
    Domain(#[from] TdxFirmwareError),
    /// The emulation could not sign.
    #[error(transparent)]
    Amd(#[from] EmulationError),
    /// The emulation could not sign.
    #[error(transparent)]
    Intel(#[from] EmulatedError),
    /// The host's table of certificates can't be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The processor's report is none.
    #[error("the processor's report can't be read: {0}")]
    Report(#[from] ReportError),
    /// A certificate, or what was revoked, is nowhere.
    #[error("there is no {what}: the host's table of certificates does not have it, and no file {file} was given")]
    NoCertificate {
        /// What it is.
        what: &'static str,
        /// What the file with it is called.
        file: &'static str,
    },
    /// The firmware's log does not say what QEMU made.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// There is no such log.
    #[error(
        "the guest's firmware has left no log of what it measured (ACPI, table CCEL): \
         without it nobody knows what QEMU made for the machine, which RTMR0 has"
    )]
    NoLog,
    /// The processors of these machines are of no type that is measured.
    #[error("processors of the type {0} are not known to be measured")]
    UnknownType(&'static str),
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

/// What one kind of processor makes of a guest's reports.
struct Made {
    report: Reports,
    /// Below which it has to be.
    roots: Vec<TeeRoot>,
    /// The guest that was started, as an auditor would name it: several, where its files don't say which it is.
    guests: Vec<ReferenceGuest>,
}

impl EmulatedProcessor {
    /// The kind of machines that it is in.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        match self {
            Self::Amd(_) => Isolation::EmulatedSnp,
            Self::Intel(_) => Isolation::EmulatedTdx,
        }
    }
}

impl ConfidentialMachines {
    /// Machines with this processor, whose reports have `nonce` in them.
    #[must_use]
    pub fn new(processor: Processor, nonce: Nonce) -> Self {
        Self { processor, nonce }
    }

    /// What the runner is told.
    pub(crate) fn confidential(&self) -> Confidential {
        let (isolation, speaker) = match &self.processor {
            Processor::Emulated(processor) => (processor.isolation(), Speaker::Emulated(Arc::new(processor.clone()))),
            Processor::Hardware(processor) => (processor.isolation(), Speaker::Hardware(processor.closed().clone())),
        };
        Confidential { isolation, nonce: self.nonce, speaker }
    }

    /// The evidence of one build, judged as anybody would who trusts this processor, or the makers of hardware, and this guest.
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
        let beside = said.beside.as_deref().map(|text| read(text, "the end, or what is beside it,")).transpose()?;
        let said = [read(&said.start, "the start")?, read(&said.end, "the end")?];
        let Made { report, roots, guests } = match &self.processor {
            Processor::Emulated(EmulatedProcessor::Amd(processor)) => snp::made(processor, started, &said)?,
            Processor::Emulated(EmulatedProcessor::Intel(processor)) => tdx::made(processor, started, &said)?,
            Processor::Hardware(processor) => processor.made(started, &said, beside.as_deref())?,
        };
        let evidence = Evidence { payload: Sha256::of(&payload), nonce: self.nonce, dispatch: Some(dispatch), report };
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
        let (kernel, initrd) = (named.kernel.sha256, named.initrd.sha256);
        let guests = guests.into_iter().map(|guest| ReferenceGuest { kernel, initrd, ..guest }).collect();
        judge(&evidence, &built, &TeeTrust { roots, guests, ..TeeTrust::default() }, now)?;
        Ok(evidence)
    }
}

impl SecureProcessor for EmulatedProcessor {
    fn report(&self, started: &Started, data: &[u8; 64]) -> Result<Vec<u8>, String> {
        let report = match self {
            Self::Amd(processor) => snp::report(processor, started, data),
            Self::Intel(processor) => tdx::report(processor, started, data),
        };
        report.map_err(|e| e.to_string())
    }
}

/// The guest that was started, but for what one kind of processor measures of it.
fn this_one(started: &Started) -> ReferenceGuest {
    let (kernel, initrd) = (Sha256::of(&started.kernel), Sha256::of(&started.initrd));
    ReferenceGuest { name: "this one".into(), kernel, initrd, firmware: None, domain: None }
}
