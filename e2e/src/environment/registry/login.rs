//! The registry's one user.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// The user's name; also what `CI_REGISTRY_USER` is.
pub const USER: &str = "gitlab";

/// The cheapest that bcrypt has. The registry pays it for every request, and a password of 128 random bits needs no time as
/// a second guard.
const COST: u32 = 4;

/// A password that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    password: String,
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// It cannot be hashed.
    #[error("the password cannot be hashed")]
    Hash(#[from] bcrypt::BcryptError),
}

impl Login {
    /// With a new password, of 32 hexadecimal digits.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, LoginError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(LoginError::Random)?;
        Ok(Self { password: format!("{:032x}", u128::from_be_bytes(bytes)) })
    }

    /// With a password that was generated before.
    pub fn of(password: &str) -> Self {
        Self { password: password.trim().to_owned() }
    }

    /// The password itself.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The file that the registry knows its users from. The registry understands bcrypt alone.
    /// <https://distribution.github.io/distribution/about/configuration/#htpasswd>
    ///
    /// # Errors
    /// When it cannot be hashed.
    pub fn htpasswd(&self) -> Result<String, LoginError> {
        Ok(format!("{USER}:{}\n", bcrypt::hash(&self.password, COST)?))
    }

    /// What `docker login HOST` writes, and a Secret of type `kubernetes.io/dockerconfigjson` holds.
    pub fn docker_config(&self, host: &str) -> serde_json::Value {
        let auth = BASE64_STANDARD.encode(format!("{USER}:{}", self.password));
        serde_json::json!({"auths": {host: {"username": USER, "password": self.password, "auth": auth}}})
    }
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
    fn a_password_is_new_long_and_not_shown() {
        let (one, other) = (Login::generate().unwrap(), Login::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.password().len(), 32);
        assert_eq!(format!("{one:?}"), "Login(gitlab:[MASKED])");
    }

    #[test]
    fn the_registrys_file_has_a_hash_of_it() {
        let login = Login::of("secret\n");
        let file = login.htpasswd().unwrap();
        let (user, hash) = file.trim_end().split_once(':').unwrap();
        assert_eq!(user, "gitlab");
        assert!(bcrypt::verify("secret", hash).unwrap());
        assert!(!bcrypt::verify("other", hash).unwrap());
    }

    #[test]
    fn the_pull_secret() {
        let expected =
            r#"{"auths":{"r.test":{"auth":"Z2l0bGFiOnNlY3JldA==","password":"secret","username":"gitlab"}}}"#;
        assert_eq!(Login::of("secret").docker_config("r.test").to_string(), expected);
    }
}
