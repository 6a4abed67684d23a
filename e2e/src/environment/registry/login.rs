//! The credentials of the registry's only user.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The user's name, which is also the value of `CI_REGISTRY_USER`.
pub const USER: &str = "gitlab";

/// The lowest cost of bcrypt. The registry computes the hash for every request, and a password of 128 random bits needs no slow hash.
const COST: u32 = 4;

/// The user's password. Its `Debug` output is masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    password: String,
}

/// A password could not be created.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The system provides no random numbers.
    #[error("cannot get random numbers from the system: {0}")]
    Random(getrandom::Error),
    /// The password cannot be hashed.
    #[error("cannot hash the password")]
    Hash(#[from] bcrypt::BcryptError),
}

impl Login {
    /// Generates a password of 32 hexadecimal digits.
    ///
    /// # Errors
    /// If the system provides no random numbers.
    pub fn generate() -> Result<Self, LoginError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(LoginError::Random)?;
        Ok(Self { password: format!("{:032x}", u128::from_be_bytes(bytes)) })
    }

    /// Uses a password that was generated earlier.
    pub fn from_password(password: &str) -> Self {
        Self { password: password.trim().to_owned() }
    }

    /// The password itself.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The content of the registry's htpasswd file. The registry supports only bcrypt.
    /// <https://distribution.github.io/distribution/about/configuration/#htpasswd>
    ///
    /// # Errors
    /// If the password cannot be hashed.
    pub fn htpasswd(&self) -> Result<String, LoginError> {
        Ok(format!("{USER}:{}\n", bcrypt::hash(&self.password, COST)?))
    }

    /// The Docker configuration that `docker login HOST` writes, which is also the content of a Secret of type
    /// `kubernetes.io/dockerconfigjson`.
    pub fn docker_config(&self, host: &str) -> serde_json::Value {
        docker_config(host, USER, &self.password)
    }
}

/// [`Login::docker_config`] for another user.
pub fn docker_config(host: &str, user: &str, password: &str) -> serde_json::Value {
    let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
    serde_json::json!({"auths": {host: {"username": user, "password": password, "auth": auth}}})
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Login({USER}:[MASKED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_is_unique_long_and_masked() {
        let (one, other) = (Login::generate().unwrap(), Login::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.password().len(), 32);
        assert_eq!(format!("{one:?}"), "Login(gitlab:[MASKED])");
    }

    #[test]
    fn htpasswd_contains_a_hash_of_the_password() {
        let login = Login::from_password("secret\n");
        let file = login.htpasswd().unwrap();
        let (user, hash) = file.trim_end().split_once(':').unwrap();
        assert_eq!(user, "gitlab");
        assert!(bcrypt::verify("secret", hash).unwrap());
        assert!(!bcrypt::verify("other", hash).unwrap());
    }

    #[test]
    fn the_docker_configuration_contains_the_credentials() {
        let expected =
            r#"{"auths":{"r.test":{"auth":"Z2l0bGFiOnNlY3JldA==","password":"secret","username":"gitlab"}}}"#;
        assert_eq!(Login::from_password("secret").docker_config("r.test").to_string(), expected);
    }
}
