//! The registry's certificate, and the authority that signs it. Every registry gets new ones.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Certificates and key in PEM format.
#[derive(Clone)]
pub struct Certificates {
    /// The certificate of the authority, which clients trust. The authority's key is discarded, so it can never sign anything else.
    pub authority: String,
    /// The registry's certificate.
    pub certificate: String,
    /// The registry's key.
    pub key: String,
}

/// Generates certificates for a registry with these host names and addresses.
pub fn make(names: &[&str]) -> Result<Certificates, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "gitlab-ci-k8s-demo registry authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut parameters = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or_default());
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, &authority)?;
    Ok(Certificates { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registry_has_its_own_authority_and_key() {
        let (one, other) = (make(&["a.test", "127.0.0.1"]).unwrap(), make(&["a.test"]).unwrap());
        assert_ne!(one.authority, other.authority);
        assert_ne!(one.key, other.key);
        assert!(one.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(make(&["ä"]).is_err());
    }
}
