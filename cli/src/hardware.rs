// SPDX-License-Identifier: Apache-2.0
//! Machines that this host's own processor closes: whether it can, and what the operator has to name for them.

use std::path::{Path, PathBuf};

use reprove_attest::evidence::snp::Firmware;
use reprove_attest::evidence::tdx::{MAX_COLLATERAL, TdxFirmware};
use reprove_attest::evidence::{Certificate, RevocationList};
use reprove_job::{AmdCertificates, ConfidentialError, HardwareProcessor};
use reprove_model::Isolation;
use reprove_runner::vm::{Closed, Protection, ProtectionError};

use crate::app::absolute;
use crate::env_vars;
use crate::error::{CANNOT, CommandError, from_error};
use crate::open::{self, Links};

/// What the operator has named.
struct Named {
    firmware: Option<PathBuf>,
    certificates: Option<PathBuf>,
    collateral: Option<PathBuf>,
}

/// The processor that closes machines of this isolation, with all that the operator has to name for it.
pub(crate) fn processor(isolation: Isolation) -> Result<HardwareProcessor, CommandError> {
    let protection = Protection::of_host(isolation).map_err(|e| no_hardware(isolation, e))?;
    let named = |variable| env_vars::path(variable).map(|path| absolute(&path)).transpose();
    let named = Named {
        firmware: named(env_vars::FIRMWARE)?,
        certificates: named(env_vars::SNP_CERTIFICATES)?,
        collateral: named(env_vars::TDX_COLLATERAL)?,
    };
    processor_of(protection, named)
}

/// Why the evidence of machines is none, and what to do.
pub(crate) fn from_confidential(error: &ConfidentialError) -> CommandError {
    let this = from_error(CANNOT, error);
    let read = "docs/vm.md, \"On a host with SEV-SNP or TDX\", says what such evidence needs";
    match error {
        ConfidentialError::NoCertificate { file, .. } => {
            this.next(format!("put {file} into the folder that {} names", env_vars::SNP_CERTIFICATES)).next(read)
        }
        ConfidentialError::NoLog | ConfidentialError::Log(_) => this
            .next(format!("have {} name an OVMF that measures (edk2-stable202502 or newer)", env_vars::FIRMWARE))
            .next(read),
        ConfidentialError::Refused(_) => this
            .next("nothing was signed: whoever audits this would refuse it for the same reason")
            .next("the makers' certificates, lists and collateral hold for some weeks, and for one firmware: fetch them anew")
            .next(read),
        _ => this,
    }
}

fn processor_of(protection: Protection, named: Named) -> Result<HardwareProcessor, CommandError> {
    let firmware = firmware(protection, named.firmware)?;
    let closed = Closed { protection, firmware };
    match protection {
        Protection::SevSnp { .. } => {
            let certificates = named.certificates.as_deref().map(certificates).transpose()?.unwrap_or_default();
            Ok(HardwareProcessor::Amd(closed, certificates.into()))
        }
        Protection::Tdx => {
            let path = named.collateral.ok_or_else(|| {
                let text =
                    "evidence of tdx needs what Intel says of this platform (collateral), and no file with it is named";
                CommandError::cannot(text)
                    .next(format!("set {} to a file that docs/vm.md says how to fetch", env_vars::TDX_COLLATERAL))
            })?;
            Ok(HardwareProcessor::Intel(closed, bounded("collateral", &path, MAX_COLLATERAL)?.into()))
        }
    }
}

/// The firmware that is named, where it is one that the processor measures.
fn firmware(protection: Protection, path: Option<PathBuf>) -> Result<PathBuf, CommandError> {
    let is_tdx = protection == Protection::Tdx;
    let serves = if is_tdx {
        "an OVMF of edk2's OvmfPkgX64 (OVMF.fd: code and variables in one file), edk2-stable202502 or newer"
    } else {
        "an OVMF of edk2's AmdSev package (OVMF.fd), which measures kernel, initrd and command line"
    };
    let next = format!("set {} to {serves}", env_vars::FIRMWARE);
    let path = path.ok_or_else(|| {
        let text = "machines that a processor closes begin with a firmware that it measures, and none is named";
        CommandError::cannot(text).next(next.clone())
    })?;
    let bytes = bounded("firmware", &path, Firmware::MAX_BYTES)?;
    let why = if is_tdx {
        TdxFirmware::read(&bytes).err().map(|e| e.to_string())
    } else {
        match Firmware::from_bytes(&bytes) {
            Ok(firmware) if firmware.has_kernel_hashes() => None,
            Ok(_) => Some("it has no place for the hashes of kernel, initrd and command line".to_owned()),
            Err(e) => Some(e.to_string()),
        }
    };
    match why {
        Some(why) => Err(CommandError::cannot(format!("{}: {why}", path.display())).next(next)),
        None => Ok(path),
    }
}

/// The certificates in a folder, where they are there.
fn certificates(folder: &Path) -> Result<AmdCertificates, CommandError> {
    if !folder.is_dir() {
        let text = format!("{} names {}, which is no directory", env_vars::SNP_CERTIFICATES, folder.display());
        return Err(CommandError::bad_usage(text));
    }
    let read = |name: &str, most| {
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = bounded("certificate", &path, most)?;
        if bytes.first() == Some(&b'-') {
            let text = format!("{} is PEM, and has to be DER", path.display());
            return Err(CommandError::bad_usage(text).next("fetch it in DER, or: openssl x509 -outform DER"));
        }
        Ok(Some(bytes))
    };
    let certificate = |name| read(name, Certificate::MAX_BYTES);
    Ok(AmdCertificates {
        chip: certificate("vcek.der")?,
        intermediate: certificate("ask.der")?,
        loaded: certificate("vlek.der")?,
        loaded_intermediate: certificate("asvk.der")?,
        root: certificate("ark.der")?,
        revoked: read("crl.der", RevocationList::MAX_BYTES)?,
    })
}

fn bounded(what: &str, path: &Path, most: usize) -> Result<Vec<u8>, CommandError> {
    let bytes = open::read(what, path, Links::Followed, most)?;
    if bytes.len() > most {
        let text = format!("the {what} {} has more than {most} bytes", path.display());
        return Err(CommandError::bad_usage(text));
    }
    Ok(bytes)
}

/// Why builds can't be started in machines of hardware here.
fn no_hardware(isolation: Isolation, why: ProtectionError) -> CommandError {
    let name = isolation.name();
    CommandError::cannot(format!(
        "{why}: this machine can't close others to it with {name}, or its firmware or its kernel is not set up for it"
    ))
    .next("docs/vm.md says what such a host needs; `--isolation emulated-snp` (or emulated-tdx) tries the way out, and proves nothing")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GENOA: Protection = Protection::SevSnp { c_bit: 51, reduced_bits: 1, processor: "EPYC-Genoa" };

    fn none() -> Named {
        Named { firmware: None, certificates: None, collateral: None }
    }

    fn refused(protection: Protection, named: Named) -> (u8, String) {
        let error = processor_of(protection, named).unwrap_err();
        let code = error.code;
        let (message, next) = error.into_parts();
        (code, format!("{message}\n{}", next.join("\n")))
    }

    #[test]
    fn a_host_without_the_device_can_t() {
        let error = no_hardware(Isolation::SevSnp, ProtectionError::NoDevice("/dev/sev"));
        assert_eq!(error.code, CANNOT);
        let (message, next) = error.into_parts();
        assert!(message.starts_with("there is no /dev/sev: ") && message.contains("sev-snp"), "{message}");
        assert!(next[0].contains("emulated-snp"));
    }

    #[test]
    fn a_firmware_that_does_not_serve_is_refused_with_the_one_that_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("firmware.fd");
        fs::write(&path, vec![0; 1 << 16]).unwrap();
        for (protection, package) in [(GENOA, "AmdSev"), (Protection::Tdx, "OvmfPkgX64")] {
            for firmware in [None, Some(path.clone())] {
                let (code, text) = refused(protection, Named { firmware, ..none() });
                assert!(code == CANNOT && text.contains(package) && text.contains(env_vars::FIRMWARE), "{text}");
            }
        }
        // Debian's own has TDX metadata, and no place for the hashes of SEV-SNP.
        let debian = Some(PathBuf::from("/usr/share/ovmf/OVMF.fd"));
        let (_, text) = refused(GENOA, Named { firmware: debian.clone(), ..none() });
        assert!(text.contains("AmdSev"), "{text}");
        let (code, text) = refused(Protection::Tdx, Named { firmware: debian.clone(), ..none() });
        assert!(code == CANNOT && text.contains(env_vars::TDX_COLLATERAL), "{text}");
    }

    #[test]
    fn what_intel_says_is_named_and_bounded_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collateral.json");
        for (length, fits) in [(MAX_COLLATERAL, true), (MAX_COLLATERAL + 1, false)] {
            fs::write(&path, vec![b' '; length]).unwrap();
            let debian = Some(PathBuf::from("/usr/share/ovmf/OVMF.fd"));
            let named = Named { firmware: debian, collateral: Some(path.clone()), ..none() };
            let made = processor_of(Protection::Tdx, named);
            assert_eq!(made.is_ok(), fits, "{length}");
            assert!(made.is_err() || matches!(made, Ok(HardwareProcessor::Intel(..))));
        }
    }

    #[test]
    fn certificates_are_taken_from_their_folder_by_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(certificates(dir.path()).unwrap(), AmdCertificates::default());
        for name in ["vcek.der", "ask.der", "vlek.der", "asvk.der", "ark.der", "crl.der", "other.der"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let of = |name: &str| Some(name.as_bytes().to_vec());
        let expected = AmdCertificates {
            chip: of("vcek.der"),
            intermediate: of("ask.der"),
            loaded: of("vlek.der"),
            loaded_intermediate: of("asvk.der"),
            root: of("ark.der"),
            revoked: of("crl.der"),
        };
        assert_eq!(certificates(dir.path()).unwrap(), expected);
        for (bytes, fits) in [(vec![1; Certificate::MAX_BYTES], true), (vec![1; Certificate::MAX_BYTES + 1], false)] {
            fs::write(dir.path().join("ark.der"), bytes).unwrap();
            assert_eq!(certificates(dir.path()).is_ok(), fits);
        }
        fs::write(dir.path().join("ark.der"), "-----BEGIN CERTIFICATE-----").unwrap();
        let (message, _) = certificates(dir.path()).unwrap_err().into_parts();
        assert!(message.contains("has to be DER"), "{message}");
        assert!(certificates(&dir.path().join("none")).is_err());
    }

    #[test]
    fn what_evidence_lacks_is_said_with_what_mends_it() {
        let error = ConfidentialError::NoCertificate { what: "certificate of the root (ARK)", file: "ark.der" };
        let (message, next) = from_confidential(&error).into_parts();
        assert!(message.contains("(ARK)") && next[0].contains("ark.der"), "{message} {next:?}");
        let (_, next) = from_confidential(&ConfidentialError::NoLog).into_parts();
        assert!(next[0].contains(env_vars::FIRMWARE), "{next:?}");
    }
}
