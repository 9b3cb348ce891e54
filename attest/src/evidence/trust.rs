// SPDX-License-Identifier: Apache-2.0
//! What a trust file says of confidential machines: `[tee]`, `[[guest]]`, `[[verifier]]` and `[[service]]`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reprove_model::Sha256;
use serde::Deserialize;
use thiserror::Error;

use super::ccf::{CcfError, CcfService};
use super::snp::{Product, SnpRules, Tcb};
use super::tdx::{Edk2, ParseTcbStatusError, TcbStatus, TdxPolicy};
use super::{
    HardwareRoot, NoEmulation, ReferenceDomain, ReferenceEnclave, ReferenceGuest, ReferenceService, ReferenceVerifier,
    Sha384, TeeRoot, TeeTrust,
};
use crate::rebuilder::is_name;
use crate::{Algorithm, PublicKey};

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
    #[error(
        "guest {0}: it has neither firmware (SEV-SNP) nor tdx nor pcrs (AWS Nitro), so that no processor's word could be of it"
    )]
    NoMeasurement(usize),
    /// A guest without its kernel or its initrd.
    #[error("guest {0}: it has no kernel or no initrd, which only an enclave of AWS Nitro (pcrs alone) can be without")]
    NoFiles(usize),
    /// Registers that are no enclave's.
    #[error(
        "guest {guest}: its pcrs {why}; they are by number, from 0 to {max}, and 0, 1 and 2 are there, none of them zero, \
         as in debug mode",
        max = ReferenceEnclave::MAX_REGISTER
    )]
    Registers {
        /// Which guest.
        guest: usize,
        /// Why not.
        why: String,
    },
    /// A verifier that can't be one.
    #[error("verifier {number}: {why}")]
    Verifier {
        /// Which.
        number: usize,
        /// Why not.
        why: String,
    },
    /// Too many.
    #[error("it names {0} verifiers, and {1} services; the most is {max} of each", max = TeeTrust::MAX)]
    TooManyOthers(usize, usize),
    /// A service without a name that can be one.
    #[error("service {0}: its name is empty, longer than 200 characters, or has control characters")]
    ServiceName(usize),
    /// A service whose certificate can't be one's.
    #[error("service {number}: {why}")]
    Service {
        /// Which.
        number: usize,
        /// Why not.
        why: CcfError,
    },
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
    kernel: Option<Sha256>,
    initrd: Option<Sha256>,
    tdx: Option<DomainLayout>,
    pcrs: Option<BTreeMap<String, Sha384>>,
}

/// One `[[verifier]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifierLayout {
    name: String,
    key: String,
    tees: BTreeSet<String>,
    policies: BTreeSet<String>,
    submodule: String,
    #[serde(default)]
    emulated: bool,
}

/// One `[[service]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceLayout {
    name: String,
    certificate: String,
    #[serde(default)]
    emulated: bool,
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
    /// The most roots, the most guests, verifiers and services, in one trust file.
    pub const MAX: usize = 64;

    pub(crate) fn from_layout(
        tee: TeeLayout,
        guests: Vec<GuestLayout>,
        verifiers: Vec<VerifierLayout>,
        services: Vec<ServiceLayout>,
    ) -> Result<Self, TeeTrustError> {
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
        if verifiers.len() > Self::MAX || services.len() > Self::MAX {
            return Err(TeeTrustError::TooManyOthers(verifiers.len(), services.len()));
        }
        let enclaves = (1..).zip(&guests).filter_map(enclave).collect::<Result<_, _>>()?;
        let guests = (1..).zip(guests).filter_map(|guest| self::guest(guest).transpose()).collect::<Result<_, _>>()?;
        let verifiers = (1..).zip(verifiers).map(verifier).collect::<Result<_, _>>()?;
        let services = (1..).zip(services).map(service).collect::<Result<_, _>>()?;
        let TeeLayout { minimum_tcb, without_revocations, without_alias_check, tdx, .. } = tee;
        let snp = SnpRules { minimum_tcb, without_revocations, without_alias_check };
        Ok(Self { roots, guests, enclaves, verifiers, services, snp, tdx: tdx.read()? })
    }
}

/// What it is where it is started from files; `None` where it is an enclave of AWS Nitro alone.
fn guest((number, guest): (usize, GuestLayout)) -> Result<Option<ReferenceGuest>, TeeTrustError> {
    let GuestLayout { name, firmware, kernel, initrd, tdx, pcrs } = guest;
    let domain = tdx.map(|domain| {
        let DomainLayout { edk2, mrtd, configuration, rtmr1, initrd } = domain;
        ReferenceDomain { edk2, mrtd, configuration, rtmr1, initrd }
    });
    if !is_name(&name) {
        return Err(TeeTrustError::Name(number));
    }
    if firmware.is_none() && domain.is_none() {
        // A kernel and an initrd that nothing measures would say more than is looked at.
        let is_enclave = pcrs.is_some() && kernel.is_none() && initrd.is_none();
        return if is_enclave { Ok(None) } else { Err(TeeTrustError::NoMeasurement(number)) };
    }
    let (Some(kernel), Some(initrd)) = (kernel, initrd) else { return Err(TeeTrustError::NoFiles(number)) };
    Ok(Some(ReferenceGuest { name, kernel, initrd, firmware, domain }))
}

/// What it measures as an enclave of AWS Nitro, where it can be one.
fn enclave((number, guest): (usize, &GuestLayout)) -> Option<Result<ReferenceEnclave, TeeTrustError>> {
    let named = guest.pcrs.as_ref()?;
    let refused = |why: String| TeeTrustError::Registers { guest: number, why };
    let read = |(name, register): (&String, &Sha384)| {
        let known = (0..=ReferenceEnclave::MAX_REGISTER).find(|number| number.to_string() == *name);
        let known = known.ok_or_else(|| refused(format!("have {:?}", name.chars().take(80).collect::<String>())))?;
        Ok((known, *register))
    };
    let registers = named.iter().map(read).collect::<Result<BTreeMap<u8, Sha384>, _>>();
    let registers = match registers {
        Ok(registers) => registers,
        Err(error) => return Some(Err(error)),
    };
    for required in ReferenceEnclave::REQUIRED {
        match registers.get(&required) {
            Some(register) if *register != Sha384::ZERO => {}
            Some(_) => return Some(Err(refused(format!("have a zero for {required}")))),
            None => return Some(Err(refused(format!("have no {required}")))),
        }
    }
    Some(Ok(ReferenceEnclave { name: guest.name.clone(), registers }))
}

fn verifier((number, layout): (usize, VerifierLayout)) -> Result<ReferenceVerifier, TeeTrustError> {
    let VerifierLayout { name, key, tees, policies, submodule, emulated } = layout;
    let refused = |why: &str| TeeTrustError::Verifier { number, why: why.into() };
    if !is_name(&name) {
        return Err(refused("its name is empty, longer than 200 characters, or has control characters"));
    }
    let key = PublicKey::from_spki_pem(&key).map_err(|why| refused(&format!("its key is none: {why}")))?;
    if key.algorithm() != Algorithm::EcdsaP256 {
        return Err(refused("its key is not one of ECDSA over P-256"));
    }
    let are_names = |names: &BTreeSet<String>| !names.is_empty() && names.iter().all(|name| is_name(name));
    if !are_names(&tees) || !are_names(&policies) || !is_name(&submodule) {
        return Err(refused("its tees, policies or submodule are none, or have no name that can be one"));
    }
    if tees.len() > TeeTrust::MAX || policies.len() > TeeTrust::MAX {
        return Err(refused("it has more than 64 tees or policies"));
    }
    Ok(ReferenceVerifier { name, key, tees, policies, submodule, is_emulated: emulated })
}

fn service((number, layout): (usize, ServiceLayout)) -> Result<ReferenceService, TeeTrustError> {
    let ServiceLayout { name, certificate, emulated } = layout;
    if !is_name(&name) {
        return Err(TeeTrustError::ServiceName(number));
    }
    let service = CcfService::from_pem(&certificate).map_err(|why| TeeTrustError::Service { number, why })?;
    Ok(ReferenceService { name, service, emulated })
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
    use crate::SigningKey;

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        tee: TeeLayout,
        #[serde(default)]
        guest: Vec<GuestLayout>,
        #[serde(default)]
        verifier: Vec<VerifierLayout>,
        #[serde(default)]
        service: Vec<ServiceLayout>,
    }

    fn read(text: &str) -> Result<TeeTrust, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        TeeTrust::from_layout(file.tee, file.guest, file.verifier, file.service).map_err(|e| e.to_string())
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
    fn an_enclave_is_named_by_its_registers() {
        let pcrs = |pcrs: &str| format!("[[guest]]\nname = \"enclave\"\npcrs = {{ {pcrs} }}\n");
        let (a, b, c) = (Sha384::of(b"a"), Sha384::of(b"b"), Sha384::of(b"c"));
        let three = format!("0 = \"{a}\", 1 = \"{b}\", 2 = \"{c}\"");
        let trust = read(&pcrs(&format!("{three}, 8 = \"{a}\""))).unwrap();
        let registers = [(0, a), (1, b), (2, c), (8, a)].into();
        assert_eq!(trust.enclaves, [ReferenceEnclave { name: "enclave".into(), registers }]);
        assert!(trust.guests.is_empty());
        // A guest can be both.
        let both = read(&(guest("both") + &format!("pcrs = {{ {three} }}\n"))).unwrap();
        assert_eq!((both.guests.len(), both.enclaves.len()), (1, 1));
        let zero = Sha384::ZERO;
        let files = format!("kernel = \"{}\"\n", Sha256::of(b"x"));
        for (text, why) in [
            (pcrs(&format!("0 = \"{a}\", 2 = \"{c}\"")), "have no 1"),
            (pcrs(&format!("{three}, 9 = \"{a}\"")), "have \"9\""),
            (pcrs(&format!("{three}, 08 = \"{a}\"")), "have \"08\""),
            (pcrs(&three.replace(&a.to_string(), &zero.to_string())), "have a zero for 0"),
            (pcrs(&three.replace(&a.to_string(), "00")), "96 lower-case"),
            (pcrs(&three) + &files, "neither firmware (SEV-SNP) nor tdx"),
            (guest("a").lines().filter(|line| !line.starts_with("initrd")).collect::<Vec<_>>().join("\n"), "no initrd"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_verifier_is_named_by_its_key() {
        let pem = |key: PublicKey| key.to_spki_pem().unwrap();
        let key = SigningKey::new(Algorithm::EcdsaP256, [1; 32]).unwrap().public_key();
        let more = "tees = [\"tdx\"]\npolicies = [\"default\"]\nsubmodule = \"cpu0\"\n";
        let verifier =
            |name: &str, key: &str, more: &str| format!("[[verifier]]\nname = {name:?}\nkey = '''\n{key}'''\n{more}");
        let trust = read(&verifier("ours", &pem(key), more)).unwrap();
        let (tees, policies) = (["tdx".to_owned()].into(), ["default".to_owned()].into());
        let (name, submodule) = ("ours".into(), "cpu0".into());
        let expected = ReferenceVerifier { name, key, tees, policies, submodule, is_emulated: false };
        assert_eq!(trust.verifiers, std::slice::from_ref(&expected));
        let trust = read(&verifier("ours", &pem(key), &format!("{more}emulated = true\n"))).unwrap();
        assert_eq!(trust.verifiers, [ReferenceVerifier { is_emulated: true, ..expected }]);
        let ed25519 = SigningKey::ed25519([1; 32]).public_key();
        for (text, why) in [
            (verifier("", &pem(key), more), "verifier 1: its name"),
            (verifier("a", "x", more), "verifier 1: its key is none"),
            (verifier("a", &pem(ed25519), more), "not one of ECDSA over P-256"),
            (verifier("a", &pem(key), &more.replace("\"tdx\"", "")), "its tees, policies or submodule"),
            (verifier("a", &pem(key), &more.replace("default", "")), "its tees, policies or submodule"),
            (verifier("a", &pem(key), &more.replace("cpu0", "")), "its tees, policies or submodule"),
            (verifier("a", &pem(key), &format!("{more}url = \"x\"\n")), "unknown field `url`"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let many = |n: usize| read(&verifier("a", &pem(key), more).repeat(n));
        assert!(many(TeeTrust::MAX).is_ok() && many(TeeTrust::MAX + 1).is_err());
        let tees = |n: usize| {
            let names: Vec<_> = (0..n).map(|number| format!("t{number}")).collect();
            read(&verifier("a", &pem(key), &more.replace("[\"tdx\"]", &format!("{names:?}"))))
        };
        assert!(tees(TeeTrust::MAX).is_ok() && tees(TeeTrust::MAX + 1).is_err());
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
