//! TLS Secrets, made ready for `HAProxy`.
//!
//! One bad certificate makes `HAProxy` refuse a whole configuration, with everybody's routes in it. So each is tried here
//! first, and a bad one only takes its own hosts off TLS.

use k8s_openapi::api::core::v1::Secret;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Why a Secret cannot serve TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the two entries of a TLS Secret is not there.
    #[error("the Secret has no entry {0}")]
    Missing(&'static str),
    /// An entry is not PEM, or holds nothing of its kind.
    #[error("{entry} cannot be read: {source}")]
    Pem {
        /// Which entry.
        entry: &'static str,
        /// What the parser says.
        source: rustls::pki_types::pem::Error,
    },
    /// The key is of an unknown kind or does not belong to the certificate.
    #[error("certificate and key do not serve together: {0}")]
    Pair(#[from] rustls::Error),
}

/// Certificate chain and key of `secret` in one PEM text, as `HAProxy` wants them.
///
/// # Errors
///
/// When the Secret lacks one of them, or the two cannot be used together.
pub fn bundle(secret: &Secret) -> Result<String, Error> {
    let certificates = entry(secret, "tls.crt")?;
    let key = entry(secret, "tls.key")?;
    let chain = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Pem { entry: "tls.crt", source })?;
    let parsed_key = PrivateKeyDer::from_pem_slice(key).map_err(|source| Error::Pem { entry: "tls.key", source })?;
    CertifiedKey::from_der(chain, parsed_key, &ring::default_provider())?;
    Ok(format!("{}\n{}\n", String::from_utf8_lossy(certificates).trim(), String::from_utf8_lossy(key).trim()))
}

fn entry<'secret>(secret: &'secret Secret, name: &'static str) -> Result<&'secret [u8], Error> {
    let data = secret.data.as_ref().and_then(|data| data.get(name)).ok_or(Error::Missing(name))?;
    Ok(&data.0)
}
