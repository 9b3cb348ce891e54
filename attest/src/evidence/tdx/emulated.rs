// SPDX-License-Identifier: Apache-2.0
//! EMULATED - NOT HARDWARE: quotes and collateral under a root that anyone can make. They take the same way through the same
//! verifier as Intel's, and prove that the way is whole, and nothing else.

mod der;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ::der::asn1::ObjectIdentifier;
use dcap_qvl::INTEL_QE_VENDOR_ID;
use jiff::Timestamp;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use reprove_model::Sha256;
use serde_json::{Value, json};
use thiserror::Error;

use self::der::{Issuer, Subject, boolean, certificate, enumerated, integer, octets, oid, revocation_list, sequence};
use super::collateral::{Json, hex};
use super::quote::{CERTIFIED_BY_QE_REPORT, ECDSA_P256, HEADER, PCK_CHAIN, QE_AUTHENTICATION, QE_REPORT, TEE_TDX};
use super::{Measurement, TdReport, TdxItem, chain};
use crate::evidence::EMULATED;

/// The PCK certificate's extension (Intel SGX PCK Certificate and Certificate Revocation List Profile, "SGX Extensions").
const SGX: &str = "1.2.840.113741.1.13.1";
/// Who signs the emulated quoting enclave.
const QE_SIGNER: [u8; 32] = [0xe0; 32];
/// The version of the emulated TDX module.
const MODULE: u8 = 1;
/// How high the emulated processor's security versions are.
const SVN: u8 = 3;

/// `TEE_TCB_SVN` of the emulated TDX module: its version, which module it is, and its loader.
const EMULATED_SVN: [u8; 16] = [SVN, MODULE, SVN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What is emulated, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedPlatform {
    /// From when until when everything holds.
    pub span: RangeInclusive<Timestamp>,
    /// Where something holds for another time.
    pub spans: BTreeMap<TdxItem, RangeInclusive<Timestamp>>,
    /// The certificates that are revoked by their issuers: of [`TdxItem::PckCa`], [`TdxItem::Pck`] and
    /// [`TdxItem::TcbSigner`].
    pub revoked: BTreeSet<TdxItem>,
    /// The levels of security versions, the highest first.
    pub levels: Vec<EmulatedLevel>,
    /// What is said of the TDX module, as Intel writes it.
    pub module_status: String,
    /// What is said of the quoting enclave, as Intel writes it.
    pub qe_status: String,
    /// The attributes of the quoting enclave; the second bit is debug.
    pub qe_attributes: u8,
    /// The number of the evaluation of all that is said.
    pub evaluation: u32,
    /// The kind of processor that the certificate names.
    pub fmspc: [u8; 6],
    /// The kind of processor that the levels are of.
    pub levels_fmspc: [u8; 6],
    /// The provisioning enclave that the levels are of; the certificate names 0.
    pub levels_pce_id: [u8; 2],
    /// Whether processors can be added, Intel keeps root keys, a core has several threads.
    pub configuration: [bool; 3],
}

/// A level of security versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedLevel {
    /// The least third number of `TEE_TCB_SVN`.
    pub least: u8,
    /// What is said of it, as Intel writes it.
    pub status: String,
    /// Of when it is.
    pub date: Timestamp,
    /// The advisories that concern it.
    pub advisories: Vec<String>,
}

impl EmulatedPlatform {
    /// A platform with nothing against it, of which everything holds for the time `span`.
    #[must_use]
    pub fn new(span: RangeInclusive<Timestamp>) -> Self {
        let date = *span.start();
        let level = EmulatedLevel { least: SVN, status: "UpToDate".into(), date, advisories: Vec::new() };
        Self {
            span,
            spans: BTreeMap::new(),
            revoked: BTreeSet::new(),
            levels: vec![level],
            module_status: "UpToDate".into(),
            qe_status: "UpToDate".into(),
            qe_attributes: 0x11,
            evaluation: 1,
            fmspc: [0xee, 0, 0, 0, 0, 0],
            levels_fmspc: [0xee, 0, 0, 0, 0, 0],
            levels_pce_id: [0; 2],
            configuration: [true; 3],
        }
    }
}

/// An emulated processor, and all who vouch for it. The same seed makes the same bytes.
pub struct EmulatedTdx {
    platform: EmulatedPlatform,
    keys: BTreeMap<Holder, SigningKey>,
}

impl std::fmt::Debug for EmulatedTdx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmulatedTdx").field("platform", &self.platform).finish_non_exhaustive()
    }
}

/// Who has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Root,
    PckCa,
    Pck,
    TcbSigner,
    Quote,
}

impl Holder {
    const ALL: [Self; 5] = [Self::Root, Self::PckCa, Self::Pck, Self::TcbSigner, Self::Quote];

    fn name(self) -> String {
        format!("{EMULATED}: TDX {self:?}")
    }

    /// Its certificate's serial number.
    fn serial(self) -> u8 {
        match self {
            Self::Root => 1,
            Self::PckCa => 2,
            Self::Pck => 3,
            Self::TcbSigner => 4,
            Self::Quote => 5,
        }
    }
}

/// What can't be emulated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EmulatedError {
    /// The seed makes no keys; about one in 2^32 does not.
    #[error("this seed makes no key: take another")]
    Seed,
    /// Not a version that quotes of this report have.
    #[error("a quote of version {0} has no such report: version 4 has one of TDX 1.0, version 5 any")]
    Version(u16),
    /// Too long for the form.
    #[error("a part is longer than its length can say")]
    TooLong,
    /// Nothing that can be written.
    #[error("this can't be written: {0}")]
    Json(String),
}

impl EmulatedTdx {
    /// A processor and all who vouch for it, with keys from `seed`.
    ///
    /// # Errors
    /// [`EmulatedError::Seed`].
    pub fn new(seed: &[u8; 32], platform: EmulatedPlatform) -> Result<Self, EmulatedError> {
        let key = |holder: Holder| {
            let number = Sha256::of(&[seed.as_slice(), holder.name().as_bytes()].concat());
            let key = SigningKey::from_slice(number.as_bytes()).map_err(|_| EmulatedError::Seed)?;
            Ok((holder, key))
        };
        Ok(Self { platform, keys: Holder::ALL.into_iter().map(key).collect::<Result<_, EmulatedError>>()? })
    }

    /// The root certificate, DER: what an auditor names to take this emulation's evidence.
    ///
    /// # Errors
    /// [`EmulatedError::Seed`].
    pub fn root(&self) -> Result<Vec<u8>, EmulatedError> {
        self.certificate(TdxItem::Root)
    }

    /// What is kept beside the quotes, so that they can be verified.
    ///
    /// # Errors
    /// [`EmulatedError`].
    pub fn collateral(&self) -> Result<Vec<u8>, EmulatedError> {
        let root = chain::write(&self.root()?);
        let chain_of = |item| Ok::<_, EmulatedError>(chain::write(&self.certificate(item)?) + &root);
        let signed = |text: &str| Ok::<_, EmulatedError>(hex(&raw(self.key(Holder::TcbSigner)?, text.as_bytes())));
        let (tcb_info, qe_identity) = (self.tcb_info().to_string(), self.qe_identity().to_string());
        let json = Json {
            pck_crl_issuer_chain: chain_of(TdxItem::PckCa)?,
            root_ca_crl: hex(&self.list(TdxItem::RootCrl)?),
            pck_crl: hex(&self.list(TdxItem::PckCrl)?),
            tcb_info_issuer_chain: chain_of(TdxItem::TcbSigner)?,
            tcb_info_signature: signed(&tcb_info)?,
            tcb_info,
            qe_identity_issuer_chain: chain_of(TdxItem::QeSigner)?,
            qe_identity_signature: signed(&qe_identity)?,
            qe_identity,
            pck_certificate_chain: None,
        };
        serde_json::to_vec(&json).map_err(|e| EmulatedError::Json(e.to_string()))
    }

    /// A quote of `report`, of version 4 or 5.
    ///
    /// # Errors
    /// [`EmulatedError`].
    pub fn quote(&self, report: &TdReport, version: u16) -> Result<Vec<u8>, EmulatedError> {
        let mut quote = Vec::with_capacity(4096);
        quote.extend(version.to_le_bytes());
        quote.extend(ECDSA_P256.to_le_bytes());
        quote.extend(TEE_TDX.to_le_bytes());
        quote.extend([0; 4]);
        quote.extend(INTEL_QE_VENDOR_ID);
        quote.resize(HEADER, 0);
        let body = report.write();
        match (version, &report.since) {
            (4, None) => {}
            (5, since) => {
                quote.extend(if since.is_some() { 3_u16 } else { 2 }.to_le_bytes());
                quote.extend(length(&body)?);
            }
            _ => return Err(EmulatedError::Version(version)),
        }
        quote.extend(body);
        let signature = raw(self.key(Holder::Quote)?, &quote);
        let certification = self.certification()?;
        let mut data = Vec::from(signature);
        data.extend(self.quote_key()?);
        data.extend(CERTIFIED_BY_QE_REPORT.to_le_bytes());
        data.extend(length(&certification)?);
        data.extend(certification);
        quote.extend(length(&data)?);
        quote.extend(data);
        Ok(quote)
    }

    /// The report of the quoting enclave, and what certifies it ("QE Report Certification Data").
    fn certification(&self) -> Result<Vec<u8>, EmulatedError> {
        let mut authentication = EMULATED.as_bytes().to_vec();
        authentication.resize(QE_AUTHENTICATION, 0);
        let hash = Sha256::of(&[self.quote_key()?, authentication.clone()].concat());
        let mut report = [SVN; 16].to_vec();
        report.resize(48, 0);
        report.push(self.platform.qe_attributes);
        report.resize(128, 0);
        report.extend(QE_SIGNER);
        report.resize(256, 0);
        report.extend(2_u16.to_le_bytes());
        report.extend(u16::from(SVN).to_le_bytes());
        report.resize(320, 0);
        report.extend(hash.as_bytes());
        report.resize(QE_REPORT, 0);

        let mut chain = chain::write(&self.certificate(TdxItem::Pck)?);
        chain.push_str(&chain::write(&self.certificate(TdxItem::PckCa)?));
        chain.push_str(&chain::write(&self.root()?));
        chain.push('\0');
        let signature = raw(self.key(Holder::Pck)?, &report);
        let mut bytes = report;
        bytes.extend(signature);
        bytes.extend(u16::try_from(authentication.len()).map_err(|_| EmulatedError::TooLong)?.to_le_bytes());
        bytes.extend(authentication);
        bytes.extend(PCK_CHAIN.to_le_bytes());
        bytes.extend(length(chain.as_bytes())?);
        bytes.extend(chain.as_bytes());
        Ok(bytes)
    }

    /// The key that signs quotes, as they have it: the point's two numbers.
    fn quote_key(&self) -> Result<Vec<u8>, EmulatedError> {
        let point = self.key(Holder::Quote)?.verifying_key().to_sec1_point(false);
        Ok(point.as_bytes().get(1..).unwrap_or_default().to_vec())
    }

    fn key(&self, holder: Holder) -> Result<&SigningKey, EmulatedError> {
        self.keys.get(&holder).ok_or(EmulatedError::Seed)
    }

    fn span(&self, item: TdxItem) -> &RangeInclusive<Timestamp> {
        self.platform.spans.get(&item).unwrap_or(&self.platform.span)
    }

    /// The certificate that is such an item.
    fn certificate(&self, item: TdxItem) -> Result<Vec<u8>, EmulatedError> {
        let (holder, issuer, authorities_below) = match item {
            TdxItem::PckCa => (Holder::PckCa, Holder::Root, Some(0)),
            TdxItem::Pck => (Holder::Pck, Holder::PckCa, None),
            TdxItem::TcbSigner | TdxItem::QeSigner => (Holder::TcbSigner, Holder::Root, None),
            _ => (Holder::Root, Holder::Root, Some(1)),
        };
        let extension = (item == TdxItem::Pck).then(|| (ObjectIdentifier::new_unwrap(SGX), self.sgx_extension()));
        let (name, serial) = (holder.name(), holder.serial());
        let subject = Subject { name: &name, key: self.key(holder)?, serial, authorities_below, extension };
        let issuer = Issuer { name: &issuer.name(), key: self.key(issuer)? };
        Ok(certificate(&subject, &issuer, self.span(item)))
    }

    /// The revocation list that is such an item.
    fn list(&self, item: TdxItem) -> Result<Vec<u8>, EmulatedError> {
        let (issuer, issued): (_, &[_]) = match item {
            TdxItem::PckCrl => (Holder::PckCa, &[(TdxItem::Pck, Holder::Pck)]),
            _ => (Holder::Root, &[(TdxItem::PckCa, Holder::PckCa), (TdxItem::TcbSigner, Holder::TcbSigner)]),
        };
        let is_revoked = |(item, _): &&(TdxItem, Holder)| self.platform.revoked.contains(item);
        let revoked: Vec<u8> = issued.iter().filter(is_revoked).map(|(_, holder)| holder.serial()).collect();
        let issuer = Issuer { name: &issuer.name(), key: self.key(issuer)? };
        Ok(revocation_list(&revoked, &issuer, self.span(item)))
    }

    /// The PCK certificate's extension: PPID, security versions, provisioning enclave, kind of processor, kind of memory
    /// protection (scalable), instance, configuration.
    fn sgx_extension(&self) -> Vec<u8> {
        let id = |path: &str| oid(ObjectIdentifier::new_unwrap(&format!("{SGX}{path}")));
        let field = |path: &str, value: Vec<u8>| sequence(&[id(path), value]);
        let mut versions: Vec<Vec<u8>> = (1..=16).map(|n| field(&format!(".2.{n}"), integer(&[SVN]))).collect();
        versions.push(field(".2.17", integer(&[SVN])));
        versions.push(field(".2.18", octets(&[SVN; 16])));
        let flags: Vec<Vec<u8>> = (1..)
            .zip(self.platform.configuration)
            .map(|(n, is_set)| field(&format!(".7.{n}"), boolean(is_set)))
            .collect();
        sequence(&[
            field(".1", octets(&[0xee; 16])),
            field(".2", sequence(&versions)),
            field(".3", octets(&[0; 2])),
            field(".4", octets(&self.platform.fmspc)),
            field(".5", enumerated(1)),
            field(".6", octets(&[0xee; 16])),
            field(".7", sequence(&flags)),
        ])
    }

    /// PCS API, "Get TDX TCB Info", version 3 of `tcbInfo`.
    fn tcb_info(&self) -> Value {
        let span = self.span(TdxItem::TcbInfo);
        let components =
            |third: u8| -> Vec<Value> { (0..16).map(|n| json!({ "svn": if n == 2 { third } else { 0 } })).collect() };
        let levels: Vec<Value> = (self.platform.levels.iter())
            .map(|level| {
                json!({
                    "tcb": { "sgxtcbcomponents": components(SVN), "pcesvn": SVN, "tdxtcbcomponents": components(level.least) },
                    "tcbDate": level.date.to_string(),
                    "tcbStatus": level.status,
                    "advisoryIDs": level.advisories,
                })
            })
            .collect();
        let module = json!({ "isvsvn": 0 });
        json!({
            "id": "TDX",
            "version": 3,
            "issueDate": span.start().to_string(),
            "nextUpdate": span.end().to_string(),
            "fmspc": hex(&self.platform.levels_fmspc),
            "pceId": hex(&self.platform.levels_pce_id),
            "tcbType": 0,
            "tcbEvaluationDataNumber": self.platform.evaluation,
            "tdxModule": { "mrsigner": hex(&[0; 48]), "attributes": hex(&[0; 8]), "attributesMask": hex(&[0xff; 8]) },
            "tdxModuleIdentities": [{
                "id": format!("TDX_{MODULE:02X}"),
                "mrsigner": hex(&[0; 48]),
                "attributes": hex(&[0; 8]),
                "attributesMask": hex(&[0xff; 8]),
                "tcbLevels": [{
                    "tcb": module,
                    "tcbDate": self.platform.span.start().to_string(),
                    "tcbStatus": self.platform.module_status,
                }],
            }],
            "tcbLevels": levels,
        })
    }

    /// PCS API, "Get TDX QE Identity", version 2 of `enclaveIdentity`.
    fn qe_identity(&self) -> Value {
        let span = self.span(TdxItem::QeIdentity);
        json!({
            "id": "TD_QE",
            "version": 2,
            "issueDate": span.start().to_string(),
            "nextUpdate": span.end().to_string(),
            "tcbEvaluationDataNumber": self.platform.evaluation,
            "miscselect": hex(&[0; 4]),
            "miscselectMask": hex(&[0xff; 4]),
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "fbffffffffffffff0000000000000000",
            "mrsigner": hex(&QE_SIGNER),
            "isvprodid": 2,
            "tcbLevels": [{
                "tcb": { "isvsvn": SVN },
                "tcbDate": self.platform.span.start().to_string(),
                "tcbStatus": self.platform.qe_status,
            }],
        })
    }
}

/// What an emulated TDX module reports of a domain that began with `mrtd`, has measured `rtmr` since, and puts in
/// `report_data`: of TDX 1.0, closed to its host, without anything that the host has configured.
#[must_use]
pub fn emulated_report(mrtd: Measurement, rtmr: [Measurement; 4], report_data: [u8; 64]) -> TdReport {
    TdReport {
        tee_tcb_svn: EMULATED_SVN,
        mrseam: [0xee; 48],
        mrsignerseam: [0; 48],
        seam_attributes: [0; 8],
        td_attributes: (1_u64 << 28).to_le_bytes(),
        xfam: 3_u64.to_le_bytes(),
        mrtd,
        mrconfigid: [0; 48],
        mrowner: [0; 48],
        mrownerconfig: [0; 48],
        rtmr,
        report_data,
        since: None,
    }
}

/// With a nonce of RFC 6979: the signature's two numbers.
fn raw(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    let signature: Signature = key.sign(message);
    signature.to_bytes().into()
}

fn length(bytes: &[u8]) -> Result<[u8; 4], EmulatedError> {
    Ok(u32::try_from(bytes.len()).map_err(|_| EmulatedError::TooLong)?.to_le_bytes())
}
