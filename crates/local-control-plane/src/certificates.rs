//! The certificate authority of one control plane, kept in a folder so that a restart keeps its clients.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use crate::{
    error::Error,
    private_files::{create_private_dir, read_if_there, write_private},
};

/// A certificate with its key, both as PEM text.
#[derive(Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// Its private key (PKCS #8).
    pub key: String,
}

impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certified").finish_non_exhaustive()
    }
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    name: String,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority of a folder (`ca.crt`, `ca.key`); made there when the folder has none.
    ///
    /// # Errors
    /// When the files cannot be read or written, or hold no key.
    pub fn load_or_create(dir: &Path, name: &str) -> Result<Self, Error> {
        let certificate_error = |source| Error::Certificate { subject: name.to_owned(), source };
        create_private_dir(dir)?;
        let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.crt"));
        let (key, certificate) = match (read_if_there(&key_path)?, read_if_there(&certificate_path)?) {
            (Some(key), Some(certificate)) => {
                (KeyPair::from_pem(&key).map_err(certificate_error)?, certificate)
            }
            _ => {
                let key = KeyPair::generate().map_err(certificate_error)?;
                let certificate = ca_params(name).self_signed(&key).map_err(certificate_error)?.pem();
                write_private(&key_path, key.serialize_pem())?;
                write_private(&certificate_path, &certificate)?;
                (key, certificate)
            }
        };
        // The issuer's name and key are all that a signature needs, and both are the same as at its making.
        Ok(Self { name: name.to_owned(), certificate, issuer: Issuer::new(ca_params(name), key) })
    }

    /// The authority's own certificate as PEM text.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server that answers to these names and addresses.
    ///
    /// # Errors
    /// When a name is no DNS name.
    pub fn server(&self, common_name: &str, names: &[String]) -> Result<Certified, Error> {
        let mut params =
            CertificateParams::new(names.to_vec()).map_err(|source| self.error(common_name, source))?;
        params.distinguished_name = subject(common_name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(common_name, params)
    }

    /// A certificate for a client: the API server takes the common name as the user and the organization as
    /// the user's group.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Certified, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(user, params)
    }

    fn sign(&self, common_name: &str, mut params: CertificateParams) -> Result<Certified, Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(|source| self.error(common_name, source))?;
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(|source| self.error(common_name, source))?;
        Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn error(&self, subject: &str, source: rcgen::Error) -> Error {
        Error::Certificate { subject: format!("{subject} by {}", self.name), source }
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject
}

/// The files of the key that signs service account tokens.
#[derive(Debug, Clone)]
pub(crate) struct TokenKey {
    pub(crate) private: PathBuf,
    pub(crate) public: PathBuf,
}

impl TokenKey {
    /// The key of a folder; made there when the folder has none.
    pub(crate) fn load_or_create(dir: &Path) -> Result<Self, Error> {
        let files =
            Self { private: dir.join("service-account.key"), public: dir.join("service-account.pub") };
        if !(files.private.is_file() && files.public.is_file()) {
            let key = KeyPair::generate()
                .map_err(|source| Error::Certificate { subject: "service accounts".to_owned(), source })?;
            write_private(&files.private, key.serialize_pem())?;
            write_private(&files.public, key.public_key_pem())?;
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_authority() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(dir.path(), "one").unwrap();
        let again = Authority::load_or_create(dir.path(), "one").unwrap();
        assert_eq!(first.certificate(), again.certificate());
        assert!(
            again.client("admin", Some("system:masters")).unwrap().certificate.contains("BEGIN CERTIFICATE")
        );
    }
}
