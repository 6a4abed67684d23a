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
    Ok(sections(certificates, &["CERTIFICATE"]) + &sections(key, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]))
}

/// The sections of `pem` with one of these labels. An entry may hold anything beside them, and `HAProxy` would take the
/// first key of the whole text, tried or not.
fn sections(pem: &[u8], labels: &[&str]) -> String {
    let pem = String::from_utf8_lossy(pem);
    let mut text = String::new();
    let mut wanted = false;
    for line in pem.lines().map(str::trim_end) {
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            wanted = labels.contains(&label);
        }
        if wanted {
            text.push_str(line);
            text.push('\n');
        }
        wanted &= !line.starts_with("-----END ");
    }
    text
}

fn entry<'secret>(secret: &'secret Secret, name: &'static str) -> Result<&'secret [u8], Error> {
    let data = secret.data.as_ref().and_then(|data| data.get(name)).ok_or(Error::Missing(name))?;
    Ok(&data.0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixtures::secret;

    fn pair() -> (String, String) {
        let pair = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_before_the_key_and_nothing_else() {
        let (certificate, key) = pair();
        let (other_certificate, other_key) = pair();
        let windows = certificate.replace('\n', "\r\n");
        let chain = format!("Subject: a\n\n{other_key}{}\n{other_certificate}", windows.trim_end());
        let keys =
            format!("-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n{other_certificate}{key}");
        let bundle = bundle(&secret("t", &[("tls.crt", &chain), ("tls.key", &keys)])).unwrap();
        assert_eq!(bundle, format!("{certificate}{other_certificate}{key}").replace("\r\n", "\n"));
    }

    #[rstest]
    #[case::no_entries(&[], "the Secret has no entry tls.crt")]
    #[case::no_certificate(&[("tls.key", &*pair().1)], "the Secret has no entry tls.crt")]
    #[case::no_key(&[("tls.crt", &*pair().0)], "the Secret has no entry tls.key")]
    #[case::broken_certificate(
        &[("tls.crt", "-----BEGIN CERTIFICATE-----\nabc"), ("tls.key", &*pair().1)],
        "tls.crt cannot be read: missing section end marker"
    )]
    #[case::key_is_not_pem(&[("tls.crt", &*pair().0), ("tls.key", "abc")], "tls.key cannot be read: no items found")]
    #[case::certificate_is_not_pem(&[("tls.crt", "abc"), ("tls.key", &*pair().1)], "certificate and key do not serve together: ")]
    #[case::key_of_another(&[("tls.crt", &*pair().0), ("tls.key", &*pair().1)], "certificate and key do not serve together: ")]
    fn refused(#[case] entries: &[(&str, &str)], #[case] expected: &str) {
        let error = bundle(&secret("t", entries)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
