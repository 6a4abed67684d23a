//! Replaces secrets in output with `[MASKED]`, even when a secret is split across chunks.
//! GitLab Runner's `common/buildlogger/internal/masker`

mod secrets;
mod tokens;
mod urls;

use self::secrets::Secrets;
use self::tokens::Tokens;
use self::urls::Urls;

/// Minimum length in bytes of a word in a multi-line secret that is masked on its own: tokens, keys and certificates are that long,
/// names and addresses are not.
const MIN_WORD_LENGTH: usize = 32;

/// Masks secrets in a stream of bytes.
///
/// Limitation: masking one secret can create another that contains a part of `[MASKED]`, such as `KED] x`.
///
/// ```
/// use gitlab_runner::mask::Masker;
///
/// let mut masker = Masker::new(["s3cr3t"]);
/// let mut output = Vec::new();
/// for chunk in ["password: s3c", "r3t, token: glpat-abc\n"] {
///     masker.push(chunk.as_bytes(), &mut output);
/// }
/// masker.finish(&mut output);
/// assert_eq!(output, b"password: [MASKED], token: glpat-[MASKED]\n");
/// ```
#[derive(Clone)]
pub struct Masker {
    secrets: Secrets,
    urls: Urls,
    tokens: Tokens,
    /// The output of `secrets` and input of `urls`, and the output of `urls` and input of `tokens`. Kept to reuse their allocations.
    between: [Vec<u8>; 2],
}

impl Masker {
    /// A masker for these secrets, for everything that looks like a GitLab token, and for parameters of URLs that grant access. Empty
    /// secrets are ignored. GitLab does not mask multi-line values, such as a kubeconfig; this masks such a value, and also each word of
    /// 32 bytes or more in it.
    pub fn new<Secret: AsRef<[u8]>>(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets: Vec<Secret> = secrets.into_iter().collect();
        let words = secrets.iter().flat_map(|secret| long_words(secret.as_ref()));
        // A newline at the end does not belong to the secret: `common/buildlogger/build_logger.go`
        let secrets = Secrets::new(secrets.iter().map(|secret| without_last_newline(secret.as_ref())).chain(words));
        Self { secrets, urls: Urls::default(), tokens: Tokens::default(), between: <[Vec<u8>; 2]>::default() }
    }

    /// Takes a chunk, and appends to `output` all bytes that are certain not to belong to a secret that continues in the next chunk.
    pub fn push(&mut self, chunk: &[u8], output: &mut Vec<u8>) {
        let [without_secrets, _] = &mut self.between;
        without_secrets.clear();
        self.secrets.push(chunk, without_secrets);
        self.push_on(output);
    }

    /// Passes bytes without secrets to the other two maskers, in the runner's order.
    fn push_on(&mut self, output: &mut Vec<u8>) {
        let [without_secrets, without_parameters] = &mut self.between;
        without_parameters.clear();
        self.urls.push(without_secrets, without_parameters);
        self.tokens.push(without_parameters, output);
    }

    /// Appends the remaining bytes to `output`. The next [`push`](Self::push) starts another stream.
    pub fn finish(&mut self, output: &mut Vec<u8>) {
        let [without_secrets, _] = &mut self.between;
        without_secrets.clear();
        self.secrets.finish(without_secrets);
        self.push_on(output);
        self.urls.restart();
        self.tokens.restart();
    }

    /// Masks a complete text, independently of the current stream.
    pub fn masked(&self, text: &str) -> String {
        let (mut masker, mut output) = (self.clone(), Vec::new());
        masker.finish(&mut output);
        output.clear();
        masker.push(text.as_bytes(), &mut output);
        masker.finish(&mut output);
        String::from_utf8_lossy(&output).into_owned()
    }
}

fn without_last_newline(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}

/// The long words of a multi-line text; none for a text of a single line.
fn long_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_separator = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b',');
    let words = text.contains(&b'\n').then(|| text.split(is_separator));
    words.into_iter().flatten().filter(|word| word.len() >= MIN_WORD_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_of_a_multi_line_secret_are_masked() {
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.c2lnbmF0dXJl";
        let masker = Masker::new([format!("users:\n- name: gitlab\n  user:\n    token: \"{token}\"\n")]);
        assert_eq!(masker.masked(&format!("Bearer {token}, of gitlab")), "Bearer [MASKED], of gitlab");
        assert_eq!(masker.masked("users: - name: gitlab"), "users: - name: gitlab");
    }

    #[test]
    fn a_newline_at_the_end_of_a_secret_is_not_masked() {
        assert_eq!(Masker::new(["one\ntwo\n"]).masked("a one\ntwo\nb"), "a [MASKED]\nb");
    }

    #[test]
    fn secrets_and_tokens_are_masked_across_chunks() {
        let mut masker = Masker::new(["s3cr3t"]);
        let mut output = Vec::new();
        for chunk in ["a s3c", "r3t glp", "at-ab", "cd s3"] {
            masker.push(chunk.as_bytes(), &mut output);
        }
        assert_eq!(masker.masked("x s3cr3t glpat-1"), "x [MASKED] glpat-[MASKED]");
        masker.finish(&mut output);
        assert_eq!(String::from_utf8(output).unwrap(), "a [MASKED] glpat-[MASKED] s3");
    }
}
