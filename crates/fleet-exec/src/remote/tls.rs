//! Whom a connection trusts, and as whom it is made.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::token::TokenSource;

/// As whom requests are made.
pub enum Identity {
    /// With bearer tokens.
    Tokens(Arc<dyn TokenSource>),
    /// With a client certificate, as the kubeconfigs of virtual clusters and of local control planes have it.
    Certificate {
        /// The certificate and what vouches for it, in PEM.
        certificate: Vec<u8>,
        /// The key, in PEM.
        key: Vec<u8>,
    },
}

/// A connection that cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The certificate authority is no PEM, or holds no certificate.
    #[error("the certificate authority of the API server cannot be read")]
    Authority(#[source] Option<rustls::pki_types::pem::Error>),
    /// The certificate authority is no base64.
    #[error("the certificate authority of the API server is not base64")]
    Base64(#[source] base64::DecodeError),
    /// The client certificate or its key cannot be read.
    #[error("the client certificate or its key cannot be read")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// rustls refuses.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Takes the base64 off a certificate authority, as EKS gives it.
///
/// # Errors
/// The text is no base64.
pub fn pem_from_base64(text: &str) -> Result<Vec<u8>, ConnectError> {
    base64::engine::general_purpose::STANDARD.decode(text.trim()).map_err(ConnectError::Base64)
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

pub(crate) fn client_config(
    ca: &[u8],
    identity: Identity,
) -> Result<(ClientConfig, Option<Arc<dyn TokenSource>>), ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|error| ConnectError::Authority(Some(error)))?;
        roots.add(certificate).map_err(ConnectError::Tls)?;
    }
    if roots.is_empty() {
        return Err(ConnectError::Authority(None));
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(ConnectError::Tls)?
        .with_root_certificates(roots);
    let (mut config, tokens) = match identity {
        Identity::Tokens(tokens) => (builder.with_no_client_auth(), Some(tokens)),
        Identity::Certificate { certificate, key } => {
            let chain = CertificateDer::pem_slice_iter(&certificate)
                .collect::<Result<Vec<_>, _>>()
                .map_err(ConnectError::Certificate)?;
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(ConnectError::Certificate)?;
            (builder.with_client_auth_cert(chain, key).map_err(ConnectError::Tls)?, None)
        }
    };
    // One server stands behind one way; the default would keep room for 256.
    config.resumption = Resumption::in_memory_sessions(2);
    Ok((config, tokens))
}
