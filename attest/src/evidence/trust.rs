// SPDX-License-Identifier: Apache-2.0
//! What a trust file says of confidential machines: `[tee]` and `[[guest]]`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reprove_model::Sha256;
use serde::Deserialize;
use thiserror::Error;

use super::snp::{Product, SnpRules, Tcb};
use super::tdx::{Edk2, ParseTcbStatusError, TcbStatus, TdxPolicy};
use super::{HardwareRoot, NoEmulation, ReferenceDomain, ReferenceGuest, Sha384, TeeRoot, TeeTrust};
use crate::rebuilder::is_name;

/// Why what a trust file says of confidential machines can't be.
#[derive(Debug, Error)]
pub enum TeeTrustError {
    /// A root that is not known.
    #[error(
        "[tee] roots has {name:?}, which is none of {known}; an emulation's goes into emulated-roots, by its fingerprint"
    )]
    UnknownRoot {
        /// What it says.
        name: String,
        /// What it can say.
        known: String,
    },
    /// A root of hardware among those of emulations.
    #[error("[tee] emulated-roots has {fingerprint}: {why}")]
    Hardware {
        /// What it says.
        fingerprint: Sha256,
        /// Why not.
        why: NoEmulation,
    },
    /// A root of AMD's, and no word on which firmware is too old.
    #[error(
        "[tee] roots has {name}, and minimum-tcb does not say for it which firmware is new enough; AMD's security bulletins \
         have the numbers: minimum-tcb.{line} = {{ bl = …, tee = …, snp = …, ucode = … }}"
    )]
    NoMinimum {
        /// Which root.
        name: &'static str,
        /// Of which line.
        line: String,
    },
    /// Too many.
    #[error("it names {0} roots, and {1} guests, of confidential machines; the most is {max} of each", max = TeeTrust::MAX)]
    TooMany(usize, usize),
    /// A guest without a name that can be one.
    #[error("guest {0}: its name is empty, longer than 200 characters, or has control characters")]
    Name(usize),
    /// A guest of which nothing says what it measures.
    #[error("guest {0}: it has neither firmware (SEV-SNP) nor tdx, so that no processor's word could be of it")]
    NoMeasurement(usize),
    /// A status of security versions that is none.
    #[error("[tee.tdx] statuses has {status:?}: {why}")]
    Status {
        /// What it says.
        status: String,
        /// Why not.
        why: ParseTcbStatusError,
    },
    /// No status.
    #[error("[tee.tdx] statuses is empty, so that no platform could be taken; UpToDate is the default")]
    NoStatus,
    /// Roots, and no guest that may run below them.
    #[error("[tee] names roots, and there is no [[guest]]: evidence says which guest ran, and none would be known")]
    NoGuest,
}

/// `[tee]`, as it is written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct TeeLayout {
    roots: Vec<String>,
    emulated_roots: Vec<Sha256>,
    minimum_tcb: BTreeMap<Product, Tcb>,
    without_revocations: bool,
    without_alias_check: bool,
    tdx: TdxLayout,
}

/// `[tee.tdx]`, as it is written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct TdxLayout {
    statuses: Option<BTreeSet<String>>,
    minimum_tcb_date: Option<Timestamp>,
    minimum_evaluation: Option<u32>,
}

/// One `[[guest]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestLayout {
    name: String,
    firmware: Option<Sha256>,
    kernel: Sha256,
    initrd: Sha256,
    tdx: Option<DomainLayout>,
}

/// What a guest measures under TDX, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainLayout {
    #[serde(default)]
    edk2: Edk2,
    mrtd: Sha384,
    configuration: Sha384,
    rtmr1: Sha384,
    initrd: Sha384,
}

impl TeeTrust {
    /// The most roots, and the most guests, in one trust file.
    pub const MAX: usize = 64;

    pub(crate) fn from_layout(tee: TeeLayout, guests: Vec<GuestLayout>) -> Result<Self, TeeTrustError> {
        let mut roots = Vec::new();
        for name in tee.roots {
            let known = || TeeRoot::known().collect::<Vec<_>>().join(", ");
            let root = TeeRoot::named(&name);
            roots.push(
                root.ok_or_else(|| TeeTrustError::UnknownRoot {
                    name: name.chars().take(80).collect(),
                    known: known(),
                })?,
            );
        }
        for fingerprint in tee.emulated_roots {
            roots.push(TeeRoot::emulated(fingerprint).map_err(|why| TeeTrustError::Hardware { fingerprint, why })?);
        }
        if roots.len() > Self::MAX || guests.len() > Self::MAX {
            return Err(TeeTrustError::TooMany(roots.len(), guests.len()));
        }
        for root in &roots {
            if let Some(HardwareRoot::Amd(product)) = root.hardware()
                && !tee.minimum_tcb.contains_key(&product)
            {
                let name = TeeRoot::hardware_name(root.fingerprint()).unwrap_or_default();
                return Err(TeeTrustError::NoMinimum { name, line: product.name().to_lowercase() });
            }
        }
        if guests.is_empty() && !roots.is_empty() {
            return Err(TeeTrustError::NoGuest);
        }
        let guests = (1..).zip(guests).map(guest).collect::<Result<_, _>>()?;
        let TeeLayout { minimum_tcb, without_revocations, without_alias_check, tdx, .. } = tee;
        let snp = SnpRules { minimum_tcb, without_revocations, without_alias_check };
        Ok(Self { roots, guests, snp, tdx: tdx.read()? })
    }
}

fn guest((number, guest): (usize, GuestLayout)) -> Result<ReferenceGuest, TeeTrustError> {
    let GuestLayout { name, firmware, kernel, initrd, tdx } = guest;
    let domain = tdx.map(|domain| {
        let DomainLayout { edk2, mrtd, configuration, rtmr1, initrd } = domain;
        ReferenceDomain { edk2, mrtd, configuration, rtmr1, initrd }
    });
    if !is_name(&name) {
        return Err(TeeTrustError::Name(number));
    }
    if firmware.is_none() && domain.is_none() {
        return Err(TeeTrustError::NoMeasurement(number));
    }
    Ok(ReferenceGuest { name, kernel, initrd, firmware, domain })
}

impl TdxLayout {
    fn read(self) -> Result<TdxPolicy, TeeTrustError> {
        let Self { statuses, minimum_tcb_date, minimum_evaluation } = self;
        let mut policy = TdxPolicy {
            least_tcb_date: minimum_tcb_date,
            least_evaluation: minimum_evaluation,
            ..TdxPolicy::default()
        };
        if let Some(statuses) = statuses {
            let read = |status: String| status.parse().map_err(|why| TeeTrustError::Status { status, why });
            policy.statuses = statuses.into_iter().map(read).collect::<Result<BTreeSet<TcbStatus>, _>>()?;
        }
        if policy.statuses.is_empty() { Err(TeeTrustError::NoStatus) } else { Ok(policy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        tee: TeeLayout,
        #[serde(default)]
        guest: Vec<GuestLayout>,
    }

    fn read(text: &str) -> Result<TeeTrust, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        TeeTrust::from_layout(file.tee, file.guest).map_err(|e| e.to_string())
    }

    fn guest(name: &str) -> String {
        let digest = Sha256::of(b"x");
        format!("[[guest]]\nname = {name:?}\nfirmware = \"{digest}\"\nkernel = \"{digest}\"\ninitrd = \"{digest}\"\n")
    }

    #[test]
    fn nothing_is_trusted_that_is_not_named() {
        assert_eq!(read("").unwrap(), TeeTrust::default());
        let emulated = Sha256::of(b"root");
        let text = format!(
            "[tee]\nroots = [\"amd-genoa\"]\nemulated-roots = [\"{emulated}\"]\nwithout-alias-check = true\n\
             minimum-tcb.genoa = {{ bl = 9, tee = 0, snp = 23, ucode = 72 }}\n{}",
            guest("ours")
        );
        let trust = read(&text).unwrap();
        assert_eq!(trust.roots, [TeeRoot::named("amd-genoa").unwrap(), TeeRoot::emulated(emulated).unwrap()]);
        assert_eq!(trust.guests[0].name, "ours");
        let least = Tcb { fmc: 0, bl: 9, tee: 0, snp: 23, ucode: 72 };
        assert_eq!(trust.snp.minimum_tcb, [(Product::Genoa, least)].into());
        assert!(trust.snp.without_alias_check && !trust.snp.without_revocations);
    }

    #[test]
    fn a_guest_measures_something_under_each_processor_that_it_may_run_on() {
        let (a, b, c, d) = (Sha384::of(b"a"), Sha384::of(b"b"), Sha384::of(b"c"), Sha384::of(b"d"));
        let domain =
            format!("tdx = {{ mrtd = \"{a}\", configuration = \"{b}\", rtmr1 = \"{c}\", initrd = \"{d}\" }}\n");
        let trust = read(&(guest("both") + &domain)).unwrap();
        let expected = ReferenceDomain { edk2: Edk2::default(), mrtd: a, configuration: b, rtmr1: c, initrd: d };
        assert_eq!((trust.guests[0].firmware, trust.guests[0].domain), (Some(Sha256::of(b"x")), Some(expected)));
        let no_firmware: String =
            guest("tdx").lines().filter(|line| !line.starts_with("firmware")).collect::<Vec<_>>().join("\n");
        assert_eq!(read(&format!("{no_firmware}\n{domain}")).unwrap().guests[0].firmware, None);
        assert!(read(&no_firmware).unwrap_err().contains("neither firmware (SEV-SNP) nor tdx"));
        assert!(read(&(guest("a") + &domain.replace("rtmr1", "rtmr2"))).unwrap_err().contains("unknown field `rtmr2`"));
        assert!(read(&(guest("a") + &domain.replacen(&a.to_string(), "00", 1))).unwrap_err().contains("96 lower-case"));
    }

    #[test]
    fn what_is_asked_of_platforms_of_tdx_is_read() {
        assert_eq!(read("[tee.tdx]\n").unwrap().tdx, TdxPolicy::default());
        let text = "[tee.tdx]\nstatuses = [\"UpToDate\", \"SWHardeningNeeded\"]\nminimum-tcb-date = \"2025-01-01T00:00:00Z\"\nminimum-evaluation = 17\n";
        let expected = TdxPolicy {
            statuses: [TcbStatus::UpToDate, TcbStatus::SwHardeningNeeded].into(),
            least_tcb_date: Some("2025-01-01T00:00:00Z".parse().unwrap()),
            least_evaluation: Some(17),
            ..TdxPolicy::default()
        };
        assert_eq!(read(text).unwrap().tdx, expected);
        for (text, why) in [
            ("[tee.tdx]\nstatuses = []\n", "statuses is empty"),
            ("[tee.tdx]\nstatuses = [\"Revoked\"]\n", "Revoked is never taken"),
            ("[tee.tdx]\nstatus = 1\n", "unknown field `status`"),
        ] {
            assert!(read(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn what_can_t_be_is_refused_with_the_reason() {
        let amd = TeeRoot::named("amd-turin").unwrap().fingerprint();
        for (text, why) in [
            (format!("[tee]\nroots = [\"amd\"]\n{}", guest("a")), "amd-milan, amd-genoa, amd-turin, intel, aws"),
            (format!("[tee]\nemulated-roots = [\"{amd}\"]\n{}", guest("a")), "of amd-turin, a root of hardware"),
            (format!("[tee]\nemulated-roots = [\"00\"]\n{}", guest("a")), "64 lower-case hexadecimal digits"),
            ("[tee]\nroots = [\"intel\"]\n".into(), "no [[guest]]"),
            (format!("[tee]\nroot = 1\n{}", guest("a")), "unknown field `root`"),
            ("[tee]\nminimum-tcb.rome = {}\n".into(), "unknown variant `rome`"),
            ("[tee]\nminimum-tcb.genoa = { bl = 1 }\n".into(), "missing field `tee`"),
            (format!("[tee]\nroots = [\"amd-turin\"]\n{}", guest("a")), "minimum-tcb.turin = {"),
            ("[tee]\nminimum-tcb.genoa = { microcode = 1 }\n".into(), "unknown field `microcode`"),
            (guest(" "), "guest 1: its name is empty"),
            (guest("a").replace("kernel", "kernels"), "unknown field `kernels`"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let roots = |n: usize| {
            let names: Vec<_> = (0..n).map(|n| Sha256::of(&n.to_le_bytes()).to_string()).collect();
            read(&format!("[tee]\nemulated-roots = {names:?}\n{}", guest("a")))
        };
        assert!(roots(TeeTrust::MAX).is_ok() && roots(TeeTrust::MAX + 1).is_err());
        let guests = |n: usize| read(&guest("a").repeat(n));
        assert!(guests(TeeTrust::MAX).is_ok() && guests(TeeTrust::MAX + 1).is_err());
    }
}
