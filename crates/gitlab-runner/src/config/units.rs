//! Sizes, mounts and devices in Docker's notation.

/// A mount of a job's containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// `SOURCE:TARGET[:OPTIONS]`: a directory of the engine's host, or a named volume.
    Bind(String),
    /// A directory that the containers of a job share. GitLab Runner keeps it for the next job; here it is removed with the job.
    Shared(String),
}

impl Mount {
    /// The directory in the containers.
    pub fn target(&self) -> &str {
        match self {
            Self::Bind(bind) => bind.split(':').nth(1).unwrap_or_default(),
            Self::Shared(target) => target,
        }
    }
}

/// A device: `/dev/kvm`, or `SOURCE:TARGET:rwm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The path on the engine's host.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// The permissions: any of `r` (read), `w` (write) and `m` (create the device node).
    pub permissions: String,
}

/// Parses a size such as `512m`, `1g` or `64KiB` into bytes: `github.com/docker/go-units`, `RAMInBytes`.
pub(super) fn bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    digits.trim().parse::<i64>().ok()?.checked_mul(1024_i64.pow(power))
}

/// Parses a number of CPUs, such as `2` or `0.5`, into billionths of a CPU.
pub(super) fn nano_cpus(text: &str) -> Option<i64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_number = |digits: &str| digits.chars().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() && part.is_empty() || !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: i64 = format!("{part:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part)
}

impl Mount {
    pub(super) fn read(text: &str) -> Option<Self> {
        match text.split(':').collect::<Vec<_>>().as_slice() {
            [target] if target.starts_with('/') => Some(Self::Shared((*target).to_owned())),
            [source, target] | [source, target, _] if !source.is_empty() && target.starts_with('/') => {
                Some(Self::Bind(text.to_owned()))
            }
            _ => None,
        }
    }
}

impl Device {
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let source = parts.next().filter(|source| source.starts_with('/'))?;
        let (target, permissions) = match (parts.next(), parts.next()) {
            (None, _) => (source, "rwm"),
            (Some(target), None) if target.starts_with('/') => (target, "rwm"),
            (Some(permissions), None) => (source, permissions),
            (Some(target), Some(permissions)) => (target, permissions),
        };
        let is_valid =
            parts.next().is_none() && target.starts_with('/') && permissions.chars().all(|it| "rwm".contains(it));
        is_valid.then(|| Self {
            source: source.to_owned(),
            target: target.to_owned(),
            permissions: permissions.to_owned(),
        })
    }
}

/// Splits `KEY=VALUE` into its key and value.
pub(super) fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
}
