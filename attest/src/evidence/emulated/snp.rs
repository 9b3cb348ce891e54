// SPDX-License-Identifier: Apache-2.0
//! An EMULATED secure processor of AMD's kind.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use der::Encode as _;
use der::asn1::{Ia5String, ObjectIdentifier};
use jiff::{SignedDuration, Timestamp};
use reprove_model::Sha256;

use super::EmulationError;
use super::x509::{Subject, Template, revocations};
use crate::evidence::EMULATED;
use crate::evidence::snp::{Endorsements, Product, Report, SigningKey, Tcb};

/// The keys of an emulation, each in PKCS#8.
#[derive(Clone, Copy)]
pub struct EmulatedKeys<'a> {
    /// Of the root: RSA with 4,096 bits.
    pub root: &'a [u8],
    /// Of the one who signs the processors' certificates: the same.
    pub signer: &'a [u8],
    /// Of the processor: ECDSA on P-384.
    pub chip: &'a [u8],
}

/// An EMULATED secure processor, with the certificates above it.
pub struct EmulatedAmd {
    root: RsaKeyPair,
    chip: EcdsaKeyPair,
    identity: Identity,
    made: MadeEndorsements,
}

/// Which processor is emulated.
#[derive(Clone, Copy)]
struct Identity {
    product: Product,
    tcb: Tcb,
    chip_id: [u8; 64],
}

/// The certificates above a report, in DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeEndorsements {
    /// Of the key.
    pub key: Vec<u8>,
    /// Of the one who signed that.
    pub intermediate: Vec<u8>,
    /// Of the root.
    pub root: Vec<u8>,
    /// What the root took back.
    pub revoked: Vec<u8>,
}

impl MadeEndorsements {
    /// As the verifier takes them.
    #[must_use]
    pub fn borrowed(&self) -> Endorsements<'_> {
        let Self { key, intermediate, root, revoked } = self;
        Endorsements { key, intermediate, root, revoked: Some(revoked) }
    }
}

impl std::fmt::Debug for EmulatedAmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmulatedAmd").field("root", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// What the certificate of an emulated processor's key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningCertificate {
    /// Which line it stands for.
    pub product: Product,
    /// Which firmware.
    pub tcb: Tcb,
    /// Of the chip itself, or of whoever runs it.
    pub kind: SigningKey,
}

/// What a report is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Of the report: 2, 3 or 5.
    pub version: u32,
    /// See [`Report::policy`].
    pub policy: u64,
    /// See [`Report::vmpl`].
    pub vmpl: u32,
    /// See [`Report::platform_info`].
    pub platform_info: u64,
    /// See [`Report::report_data`].
    pub report_data: [u8; 64],
    /// See [`Report::measurement`].
    pub measurement: [u8; 48],
    /// See [`Report::host_data`].
    pub host_data: [u8; 32],
    /// See [`Report::report_id`].
    pub report_id: [u8; 32],
}

impl Default for Contents {
    /// A guest that is closed, on a machine whose memory was looked through, measured as nothing.
    fn default() -> Self {
        Self {
            version: 3,
            // The bit that must be set, and that threads may share a core.
            policy: 1 << 17 | 1 << 16,
            vmpl: 0,
            platform_info: 1 << 5,
            report_data: [0; 64],
            measurement: [0; 48],
            host_data: [0; 32],
            report_id: [0; 32],
        }
    }
}

impl EmulatedAmd {
    /// An emulated processor whose certificates are valid from `made` on, for ten years.
    ///
    /// # Errors
    /// See [`EmulationError`].
    pub fn new(keys: &EmulatedKeys<'_>, of: SigningCertificate, made: Timestamp) -> Result<Self, EmulationError> {
        Self::with(keys, of, made, |_, _| {})
    }

    /// The same, with certificates that `change` has changed: it is given which one (0 the root's, 1 the signer's, 2 the
    /// key's), and what that is to say. For tests of what is refused.
    ///
    /// # Errors
    /// See [`EmulationError`].
    pub fn with(
        keys: &EmulatedKeys<'_>,
        of: SigningCertificate,
        made: Timestamp,
        change: impl Fn(usize, &mut Template),
    ) -> Result<Self, EmulationError> {
        let rsa = |der, name| RsaKeyPair::from_pkcs8(der).map_err(|_| EmulationError::Key(name));
        let (root, signer) = (rsa(keys.root, "root")?, rsa(keys.signer, "signer")?);
        let chip = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, keys.chip);
        let chip = chip.map_err(|_| EmulationError::Key("chip"))?;
        let line = of.product.name();
        let name = |name: &str| format!("CN={name} {EMULATED},O=reprove emulation");
        let root_name = name(&format!("ARK-{line}"));
        let signer_name = name(&format!("SEV-{line}"));
        let until = made.checked_add(SignedDuration::from_hours(24 * 3652)).map_err(|_| EmulationError::Time(made))?;
        let template = |subject: &str, issuer: &str, serial: u8, extensions: Option<_>| Template {
            subject: subject.into(),
            issuer: issuer.into(),
            serial,
            from: made,
            until,
            is_authority: extensions.is_none(),
            extensions: extensions.unwrap_or_default(),
        };
        let identity = Identity { product: of.product, tcb: of.tcb, chip_id: chip_id(&chip, of.product) };
        let key_name = name(if of.kind == SigningKey::Chip { "SEV-VCEK" } else { "SEV-VLEK" });
        let mut templates = [
            template(&root_name, &root_name, 1, None),
            template(&signer_name, &root_name, 2, None),
            template(&key_name, &signer_name, 0, Some(identity.extensions(of.kind)?)),
        ];
        for (which, template) in templates.iter_mut().enumerate() {
            change(which, template);
        }
        let [of_root, of_signer, of_key] = templates;
        let made = MadeEndorsements {
            root: of_root.sign(Subject::Rsa(&root), &root)?,
            intermediate: of_signer.sign(Subject::Rsa(&signer), &root)?,
            key: of_key.sign(Subject::P384(&chip), &signer)?,
            revoked: revocations(&root_name, &root, &[], made, until)?,
        };
        Ok(Self { root, chip, identity, made })
    }

    /// The one that was made with these keys before, with the certificates that it had then: a root that is signed anew has
    /// another fingerprint.
    ///
    /// # Errors
    /// [`EmulationError::Key`].
    pub fn restore(
        keys: &EmulatedKeys<'_>,
        of: SigningCertificate,
        made: MadeEndorsements,
    ) -> Result<Self, EmulationError> {
        let root = RsaKeyPair::from_pkcs8(keys.root).map_err(|_| EmulationError::Key("root"))?;
        let chip = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, keys.chip);
        let chip = chip.map_err(|_| EmulationError::Key("chip"))?;
        let identity = Identity { product: of.product, tcb: of.tcb, chip_id: chip_id(&chip, of.product) };
        Ok(Self { root, chip, identity, made })
    }

    /// SHA-256 of the root's certificate: what an auditor has to name before anything from here is believed.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        Sha256::of(&self.made.root)
    }

    /// What goes with each report.
    #[must_use]
    pub fn endorsements(&self) -> &MadeEndorsements {
        &self.made
    }

    /// A list of those numbers that the root took back, in DER.
    ///
    /// # Errors
    /// See [`EmulationError`].
    pub fn revocations(&self, numbers: &[u8], from: Timestamp, until: Timestamp) -> Result<Vec<u8>, EmulationError> {
        let line = self.identity.product.name();
        revocations(&format!("CN=ARK-{line} {EMULATED},O=reprove emulation"), &self.root, numbers, from, until)
    }

    /// A report, signed as a key of this kind would.
    ///
    /// # Errors
    /// [`EmulationError::Signing`].
    pub fn report(&self, contents: &Contents, kind: SigningKey) -> Result<Vec<u8>, EmulationError> {
        let mut bytes = vec![0; Report::BYTES];
        let Identity { product, tcb, chip_id } = self.identity;
        let tcb = tcb.to_bytes(product);
        let key = if kind == SigningKey::Chip { 0_u32 } else { 1 << 2 };
        let (family, first_model) = match product {
            Product::Milan => (0x19, 0x01),
            Product::Genoa => (0x19, 0x11),
            Product::Turin => (0x1a, 0x02),
        };
        let cpu: &[u8] = if contents.version >= 3 { &[family, first_model, 0] } else { &[] };
        let chip_id: &[u8] = if kind == SigningKey::Chip { &chip_id } else { &[] };
        for (at, field) in [
            (0x000, &contents.version.to_le_bytes()[..]),
            (0x008, &contents.policy.to_le_bytes()),
            (0x030, &contents.vmpl.to_le_bytes()),
            (0x034, &1_u32.to_le_bytes()),
            (0x038, &tcb),
            (0x040, &contents.platform_info.to_le_bytes()),
            (0x048, &key.to_le_bytes()),
            (0x050, &contents.report_data),
            (0x090, &contents.measurement),
            (0x0c0, &contents.host_data),
            (0x140, &contents.report_id),
            // No migration agent.
            (0x160, &[0xff; 32]),
            (0x180, &tcb),
            (0x188, cpu),
            (0x1a0, chip_id),
            (0x1e0, &tcb),
            (0x1f0, &tcb),
        ] {
            put(&mut bytes, at, field);
        }
        let signed = bytes.get(..Report::SIGNED).unwrap_or_default();
        let signature = self.chip.sign(&SystemRandom::new(), signed).map_err(|_| EmulationError::Signing)?;
        let (r, s) = signature.as_ref().split_at_checked(48).ok_or(EmulationError::Signing)?;
        for (at, number) in [(0x2a0, r), (0x2e8, s)] {
            let reversed: Vec<u8> = number.iter().rev().copied().collect();
            put(&mut bytes, at, &reversed);
        }
        Ok(bytes)
    }
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(field) {
        *to = *from;
    }
}

/// The number of an emulated chip: a digest of its key, as long as the product's are.
fn chip_id(chip: &EcdsaKeyPair, product: Product) -> [u8; 64] {
    use aws_lc_rs::signature::KeyPair as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, chip.public_key().as_ref());
    let mut id = [0; 64];
    for (to, from) in id.iter_mut().zip(digest.as_ref().iter().take(product.chip_id_bytes())) {
        *to = *from;
    }
    id
}

impl Identity {
    /// The extensions of the key's certificate (AMD 57230).
    fn extensions(&self, kind: SigningKey) -> Result<Vec<(ObjectIdentifier, Vec<u8>)>, EmulationError> {
        let Tcb { fmc, bl, tee, snp, ucode } = self.tcb;
        let oid = |last: &str| ObjectIdentifier::new(&format!("1.3.6.1.4.1.3704.1.{last}")).map_err(der::Error::from);
        let mut extensions = vec![
            (oid("1")?, 1_u8.to_der()?),
            (oid("2")?, Ia5String::new(self.product.name())?.to_der()?),
            (oid("3.1")?, bl.to_der()?),
            (oid("3.2")?, tee.to_der()?),
            (oid("3.3")?, snp.to_der()?),
            (oid("3.8")?, ucode.to_der()?),
        ];
        if self.product == Product::Turin {
            extensions.push((oid("3.9")?, fmc.to_der()?));
        }
        extensions.push(match kind {
            SigningKey::Chip => {
                let id = self.chip_id.get(..self.product.chip_id_bytes()).unwrap_or_default();
                (oid("4")?, id.to_vec())
            }
            SigningKey::Loaded => (oid("5")?, Ia5String::new(EMULATED)?.to_der()?),
        });
        Ok(extensions)
    }
}
